"""Logs on standard error, as text for people or as JSON lines for a collector. One record is one line in both."""

import atexit
import faulthandler
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from andon_monitor.common.redaction import CONTROL, hide_addresses, one_line
from andon_monitor.common.times import rfc3339
from andon_monitor.telemetry import standard_error

# Lowest level of libraries. kafka-python logs message contents at DEBUG, and an outage as thousands of errors, which
# `kafka.health` logs once. The others log much at DEBUG.
LIBRARY_LEVELS = {"kafka": logging.CRITICAL, "uvicorn": logging.WARNING, "asyncio": logging.WARNING}
# Records of one library in a period: some log a line for each request or frame that is not as they like it.
LIBRARY_RECORDS, LIBRARY_PERIOD_SECONDS = 10, 60.0
LAST_WORDS_SECONDS = 2.0  # to write what libraries have written, when the process ends

Style = Literal["human", "json"]

log = logging.getLogger("andon")
_capturing = False


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide_addresses(record.getMessage()),
        }
        if record.exc_info:
            fields["traceback"] = hide_addresses(self.formatException(record.exc_info))
        text = json.dumps(fields, ensure_ascii=False)
        return CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


class HumanFormatter(logging.Formatter):
    """Time, level and message on one line; the lines of a traceback are indented, so that none looks like a record."""

    def __init__(self) -> None:
        super().__init__(datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """One line, and those of a traceback."""
        message = one_line(hide_addresses(record.getMessage()))
        lines = [f"{self.formatTime(record, self.datefmt)} {record.levelname} {message}"]
        if record.exc_info:
            traceback = hide_addresses(self.formatException(record.exc_info))
            lines += [f"    {one_line(line)}" for line in traceback.split("\n")]
        return "\n".join(lines)


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


class FewOfLibraries(logging.Filter):
    """Lets all of our records pass, and `LIBRARY_RECORDS` of each library in `LIBRARY_PERIOD_SECONDS`."""

    def __init__(self) -> None:
        super().__init__()
        self._periods: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written."""
        if record.name == log.name:
            return True
        begun, count = self._periods.get(record.name, (-math.inf, 0))
        now = time.monotonic()
        if now - begun > LIBRARY_PERIOD_SECONDS:
            begun, count = now, 0
        self._periods[record.name] = (begun, count + 1)
        return count < LIBRARY_RECORDS


class DescriptorHandler(logging.Handler):
    """Writes records to a file descriptor that another process writes to as well."""

    def __init__(self, descriptor: int, lock: IO[bytes]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lock_file = lock  # kept open here

    def emit(self, record: logging.LogRecord) -> None:
        """Write it; nobody can be told where that fails."""
        with suppress(OSError):
            line = (self.format(record) + "\n").encode(errors="backslashreplace")
            standard_error.write_whole(self._descriptor, self._lock_file.fileno(), line)


def set_up(level: str, style: Style, handler: logging.Handler | None = None) -> None:
    """Log at `level` and above, libraries at warning and above, to standard error or what `handler` writes to."""
    handler = handler or logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else HumanFormatter())
    handler.addFilter(FewOfLibraries())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)  # Pillow warns about damaged headers
    for name, lowest in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(lowest)


def start(level: str, style: Style) -> None:
    """Set up the log of this process. With JSON all of standard error becomes JSON, whoever writes to it.

    On Windows only the log does, as a process there cannot pass on where its standard error leads.
    """
    faulthandler.enable()
    if style == "json" and sys.platform != "win32":
        set_up(level, style, _capture())
    else:
        set_up(level, style)


def is_json() -> bool:
    """Whether standard error is captured, so that only the log may write to it."""
    return _capturing


def _capture() -> logging.Handler:
    """Lead file descriptor 2 through the program `standard_error`; the handler that writes where it led before."""
    global _capturing
    if _capturing:  # called a second time, to change the level
        return logging.getLogger().handlers[0]
    descriptor = os.dup(2)
    lock = _open_lock()
    handler = DescriptorHandler(descriptor, lock)
    read, write = os.pipe()
    wrapper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(standard_error.__file__)), str(descriptor), str(lock.fileno())],
        stdin=read,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(descriptor, lock.fileno()),
    )
    os.close(read)
    sys.stderr.flush()
    os.dup2(write, 2)
    os.close(write)
    _capturing = True
    _log_what_python_prints()

    def release() -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os.dup2(descriptor, 2)
        with suppress(subprocess.TimeoutExpired):  # a child of ours that goes on holds the pipe
            wrapper.wait(LAST_WORDS_SECONDS)

    atexit.register(release)
    return handler


def _open_lock() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # Linux: a container need not have a folder that can be written to
        return os.fdopen(os.memfd_create("andon-log"), "wb")
    return tempfile.TemporaryFile()


def _log_what_python_prints() -> None:
    """Exceptions that nobody catches are one record each, not a line for each of theirs."""

    def uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        log.critical("ended by an error", exc_info=(kind, error, traceback))

    def uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None and given.exc_type is not SystemExit:
            name = "a thread" if given.thread is None else given.thread.name
            log.critical("%s ended by an error", name, exc_info=(given.exc_type, given.exc_value, given.exc_traceback))

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
