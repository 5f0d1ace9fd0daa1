"""Logging to standard error, for people or as JSON lines for a collector."""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Literal

from monitor.frames import rfc3339
from monitor.inspection import Inspection

# kafka-python logs the content of what it sends at DEBUG, and an outage as thousands of errors: `monitor.kafka.health`
# says once what it means. The others are talkative at DEBUG.
QUIET = {"kafka": logging.CRITICAL, "uvicorn": logging.WARNING, "asyncio": logging.WARNING}

log = logging.getLogger("andon")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """As a line."""
        fields = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def set_up(level: str, style: Literal["human", "json"]) -> None:
    """Log to standard error at `level` and above; libraries at warning and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if style == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)  # Pillow warns about damaged headers
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)


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
