"""Log lines about frames that could not be inspected."""

import logging
from collections.abc import Callable, Sequence

from andon_monitor.common.process import Ending
from andon_monitor.inspection.inspector import Inspection

LOG_INTERVAL_SECONDS = 10.0

log = logging.getLogger("andon")


class UninspectableLog:
    """A sink that logs why frames could not be inspected: at most one line per reason in `every` seconds."""

    def __init__(self, clock: Callable[[], float], every: float = LOG_INTERVAL_SECONDS) -> None:
        self._clock = clock
        self._every = every
        self._last: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Log or count the frames that could not be inspected."""
        for inspection in inspections:
            verdict = inspection.verdict
            if verdict.reason is None:
                continue
            now = self._clock()
            if now - self._last.get(verdict.reason, -self._every) < self._every:
                self._suppressed[verdict.reason] = self._suppressed.get(verdict.reason, 0) + 1
                continue
            self._last[verdict.reason] = now
            suppressed = self._suppressed.pop(verdict.reason, 0)
            more = f" (and {suppressed} more since the last line)" if suppressed else ""
            name = verdict.file or f"offset {verdict.position.offset}"
            log.warning("%s: %s: uninspectable, %s: %s%s", verdict.camera, name, verdict.reason, verdict.detail, more)

    def close(self, ending: Ending) -> None:
        """Does nothing."""
