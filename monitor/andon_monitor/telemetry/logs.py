"""Logs on standard error, as text for people or as JSON lines for a collector."""

import json
import logging
import sys
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
