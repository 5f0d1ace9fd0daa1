"""Logging to standard error, for people or as JSON lines for a collector."""

import json
import logging
import sys
from typing import Literal

from andon_monitor.inspection.frames import rfc3339

# kafka-python logs the content of what it sends at DEBUG, and an outage as thousands of errors: `kafka.health` says
# once what it means. The others are talkative at DEBUG.
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
