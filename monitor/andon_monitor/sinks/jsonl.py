"""Verdicts as JSON lines, one for each frame or part."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from andon_monitor.common.files import cannot_write, is_device, part_of, remove_quietly, replace_durably
from andon_monitor.common.process import Ending
from andon_monitor.common.system import BINARY, NO_LINK, lock
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.inspection.inspector import Inspection

SEARCH_BYTES = 65536  # read at once to find the last end of line; a verdict has about 500


class JsonLines:
    """A file of verdicts.

    Without `append`, for a recording, it is written as `<name>.part` and renamed at the end of the run: the file is
    complete or does not exist, and a run that is stopped leaves `<name>.part`. With `append`, for a live source, each
    group of verdicts is on disk (fsync) before `write` returns; the next start removes half a line that a crash left; a
    second program cannot write to the file. Lines are always written completely, so that the file can be read while it
    grows.

    Raises UsageError (cannot be opened, in use by another run) and OutputError (cannot be written).
    """

    def __init__(self, path: Path, append: bool) -> None:
        self.path = path
        self._append = append
        self._writes_to = path if append or is_device(path) else part_of(path)
        self._is_file = not is_device(path)
        if path.is_dir():
            raise UsageError(f"{path}: a folder; give the name of a file")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = (os.O_RDWR | os.O_CREAT if self._is_file else os.O_WRONLY) | BINARY
            if self._writes_to != path:
                flags |= NO_LINK  # a link that somebody put there does not decide where this goes
            self._file = os.open(self._writes_to, flags, 0o644)
            if self._is_file:
                self._lock()
                os.ftruncate(self._file, _whole_lines(self._file) if append else 0)
                os.lseek(self._file, 0, os.SEEK_END)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror})") from None

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Add a line for each. Raises OutputError, and leaves no half line then."""
        self.add(inspection.verdict.to_json() for inspection in inspections)

    def add(self, lines: Iterable[str]) -> None:
        """Add lines of JSON. Raises OutputError, and leaves no half line then."""
        before = os.lseek(self._file, 0, os.SEEK_CUR) if self._is_file else 0
        try:
            _write_all(self._file, lines)
            if self._append and self._is_file:
                os.fsync(self._file)
        except OSError as error:
            if self._is_file:
                os.ftruncate(self._file, before)
            raise cannot_write(self.path, error) from None

    def close(self, ending: Ending) -> None:
        """Give the file its name; a stopped run keeps `<name>.part`, a failed one removes it."""
        try:
            if self._is_file and ending != "failed":
                os.fsync(self._file)
            os.close(self._file)
            if self._writes_to != self.path:
                if ending == "complete":
                    replace_durably(self._writes_to, self.path)
                elif ending == "failed":
                    remove_quietly(self._writes_to)
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _lock(self) -> None:
        try:
            lock(self._file)
        except BlockingIOError:
            os.close(self._file)
            raise UsageError(f"{self.path}: another run is writing to it; give another file") from None


class StandardOutput:
    """Verdicts to standard output, and nothing else there."""

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Write a line for each. Raises OutputError where the reader has closed the pipe."""
        try:
            sys.stdout.flush()
            _write_all(sys.stdout.fileno(), (inspection.verdict.to_json() for inspection in inspections))
        except OSError as error:
            raise OutputError(f"standard output: cannot be written ({error.strerror})") from None

    def close(self, ending: Ending) -> None:
        """Does nothing: every line is written."""


def _write_all(file: int, lines: Iterable[str]) -> None:
    data = memoryview("".join(f"{line}\n" for line in lines).encode())
    while data:
        data = data[os.write(file, data) :]


def _whole_lines(file: int) -> int:
    """How many bytes of an open file belong to complete lines."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - SEARCH_BYTES)
        os.lseek(file, start, os.SEEK_SET)
        last = os.read(file, end - start).rfind(b"\n")
        if last >= 0:
            return start + last + 1
        end = start
    return 0
