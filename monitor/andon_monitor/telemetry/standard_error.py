"""Wraps what libraries write to standard error as JSON lines; a program of its own, started by `telemetry.logs`.

C libraries write to file descriptor 2 whatever the log's format is. With JSON logs that descriptor is a pipe to this
program, which writes each line as a record where standard error was. As a process of its own it also gets the last
words of a process that crashes, and it ends when every process that holds the pipe has ended. It imports nothing but
the standard library, so that it starts in a few milliseconds.
"""

import json
import os
import re
import signal
import sys
from collections import deque
from datetime import UTC, datetime
from time import monotonic

MAX_LINE_BYTES = 4000
LINES_PER_PERIOD, PERIOD_SECONDS = 100, 10.0  # more are counted
LAST_WORDS = 20  # lines that are written at the end, although there were too many
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# As `common.redaction`, which decides what of an address is shown: here none of it but the scheme, if it has a user.
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s'\"]*@[^\s'\"]*")


def record(message: str, level: str = "warning") -> bytes:
    """A line of JSON, as those of the log."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"time": time, "level": level, "logger": "stderr", "message": message}
    return json.dumps(fields).encode() + b"\n"


if sys.platform == "win32":

    def write_whole(descriptor: int, lock: int, line: bytes) -> None:
        """Not on Windows, where `telemetry.logs` does not capture standard error."""
        raise NotImplementedError

else:
    import fcntl

    def write_whole(descriptor: int, lock: int, line: bytes) -> None:
        """Write a line that no line of another process breaks into."""
        fcntl.lockf(lock, fcntl.LOCK_EX)
        try:
            while line:
                line = line[os.write(descriptor, line) :]
        finally:
            fcntl.lockf(lock, fcntl.LOCK_UN)


class Wrapper:
    """Turns lines into records, few of them where there are many."""

    def __init__(self, descriptor: int, lock: int) -> None:
        self._descriptor = descriptor
        self._lock = lock
        self._period = monotonic()
        self._written = 0
        self._left_out: deque[str] = deque(maxlen=LAST_WORDS)
        self._left_out_count = 0

    def take(self, line: bytes) -> None:
        """Write a line, or count it."""
        text = ADDRESS.sub(r"\1***", CONTROLS.sub("", line[:MAX_LINE_BYTES].decode(errors="replace"))).strip()
        if not text:
            return
        if monotonic() - self._period > PERIOD_SECONDS:
            self._report()
            self._period, self._written = monotonic(), 0
        if self._written < LINES_PER_PERIOD:
            self._written += 1
            write_whole(self._descriptor, self._lock, record(text))
        else:
            self._left_out.append(text)
            self._left_out_count += 1

    def close(self) -> None:
        """Write the last words."""
        last = list(self._left_out)
        self._left_out_count -= len(last)
        self._report()
        for text in last:
            write_whole(self._descriptor, self._lock, record(text))

    def _report(self) -> None:
        if self._left_out_count > 0:
            said = f"{self._left_out_count} more lines of libraries are left out"
            write_whole(self._descriptor, self._lock, record(said))
        self._left_out.clear()
        self._left_out_count = 0


def main(descriptor: int, lock: int) -> None:
    """Wrap the lines of standard input until its last writer has ended."""
    if sys.platform == "win32":
        raise NotImplementedError
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the monitor must not cut off its last words
    wrapper = Wrapper(descriptor, lock)
    pending = b""
    try:
        while data := os.read(0, 65536):
            *lines, pending = re.split(rb"[\r\n]", pending + data)
            for line in lines:
                wrapper.take(line)
            if len(pending) > MAX_LINE_BYTES:
                wrapper.take(pending)
                pending = b""
        wrapper.take(pending)
        wrapper.close()
    except BrokenPipeError:
        pass  # nobody reads standard error any more


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
