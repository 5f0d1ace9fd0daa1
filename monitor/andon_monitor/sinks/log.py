"""Frames that could not be inspected, in the log."""

import logging
from collections.abc import Callable, Sequence

from andon_monitor.inspection.inspector import Inspection

log = logging.getLogger("andon")


class UninspectableLog:
    """A sink that logs why frames could not be inspected: one line a reason in `every` seconds, with a count."""

    def __init__(self, clock: Callable[[], float], every: float = 10.0) -> None:
        self._clock = clock
        self._every = every
        self._last: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Log those that are uninspectable, as far as it is their turn."""
        for inspection in inspections:
            verdict = inspection.verdict
            if verdict.reason is None:
                continue
            now = self._clock()
            if now - self._last.get(verdict.reason, -self._every) < self._every:
                self._unsaid[verdict.reason] = self._unsaid.get(verdict.reason, 0) + 1
                continue
            self._last[verdict.reason] = now
            unsaid = self._unsaid.pop(verdict.reason, 0)
            more = f" (and {unsaid} more like it before)" if unsaid else ""
            name = verdict.file or f"offset {verdict.position.offset}"
            log.warning("%s: %s: uninspectable, %s: %s%s", verdict.camera, name, verdict.reason, verdict.detail, more)

    def close(self, complete: bool) -> None:
        """Nothing to do."""
