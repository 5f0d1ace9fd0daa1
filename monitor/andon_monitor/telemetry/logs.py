"""Logs on standard error, as text for people or as JSON lines for a collector."""

import json
import logging
import math
import sys
import time
from typing import Literal

from andon_monitor.inspection.frames import rfc3339

# Lowest level of libraries. kafka-python logs message contents at DEBUG, and an outage as thousands of errors, which
# `kafka.health` logs once. The others log much at DEBUG.
LIBRARY_LEVELS = {"kafka": logging.CRITICAL, "uvicorn": logging.WARNING, "asyncio": logging.WARNING}

log = logging.getLogger("andon")


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class Occasional:
    """Logs a warning at most once in `seconds`, with the number of those left out in between."""

    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds
        self._next = -math.inf
        self._left_out = 0

    def log(self, logger: logging.Logger, message: str, *values: object) -> None:
        """Log it, or count it."""
        now = time.monotonic()
        if now < self._next:
            self._left_out += 1
            return
        more = f" ({self._left_out} more since the last such message)" if self._left_out else ""
        logger.warning(message + more, *values)
        self._next, self._left_out = now + self._seconds, 0


def set_up(level: str, style: Literal["human", "json"]) -> None:
    """Log to standard error at `level` and above; libraries at warning and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if style == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)  # Pillow warns about damaged headers
    for name, lowest in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(lowest)
