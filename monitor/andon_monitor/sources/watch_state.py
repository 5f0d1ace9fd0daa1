"""Which images of a watched folder have their verdict: a file that outlives the monitor."""

import errno
import logging
import os
from collections.abc import Collection, Iterable
from hashlib import blake2b
from pathlib import Path

from andon_monitor.common.files import replace_durably
from andon_monitor.common.system import lock
from andon_monitor.errors import UsageError

DIGEST_BYTES = 8
HEADER = b"andon-watch 1 "  # then the number of images that had their verdict before the lines that follow
# Digests of files that are gone are kept, too: a share that is away looks like an empty folder.
MAX_GONE = 100_000

log = logging.getLogger("andon")


def digest_of(path: bytes, size: int, modified_ns: int) -> str:
    """What tells an image from all others: its path inside the folder, its size in bytes, its modification time."""
    return blake2b(b"%d %d " % (size, modified_ns) + path, digest_size=DIGEST_BYTES).hexdigest()


class WatchState:
    """Digests of images, one a line, appended and put on disk at once; compacted where many of them are gone.

    One process at a time uses the file. A line that was cut short by a crash does not count. Raises UsageError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unwritten: list[str] = []
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise UsageError(
                f"source.state_file: {path}: cannot be written ({error.strerror}); give a file outside of the folder"
            ) from None
        self._lock()
        self._handled: dict[str, None] = {}
        self._before = self._lines = 0
        self._load()

    @property
    def count(self) -> int:
        """How many images have had their verdict, over all runs."""
        return self._before + self._lines

    def reach(self) -> None:
        """Raise OSError where the file is away, as one in the watched folder is while the share is.

        The file of a share that has come back is opened again, one that somebody deleted is written again.
        """
        try:
            there = self.path.stat()
        except FileNotFoundError:
            if self.path.parent.stat().st_dev != self._device:
                raise FileNotFoundError(errno.ENOENT, "the share is not mounted") from None
            self._rewrite_all(list(self._handled))
            return
        if not os.path.samestat(there, os.fstat(self._file.fileno())):
            self._file.close()
            self._file = self.path.open("a+b", buffering=0)
            self._lock()
            self._load()

    def __contains__(self, digest: str) -> bool:
        return digest in self._handled

    def add(self, digests: Iterable[str]) -> None:
        """Note images; where the file cannot be written, the next call tries again."""
        new = list(digests)
        self._handled.update(dict.fromkeys(new))
        self._unwritten += new
        self._lines += len(new)
        if not self._unwritten:
            return
        try:
            self._file.write("".join(f"{digest}\n" for digest in self._unwritten).encode())
            os.fsync(self._file.fileno())
        except OSError as error:
            log.warning("%s: cannot be written (%s); trying again", self.path, error.strerror)
            return
        self._unwritten = []

    def compact(self, present: Collection[str]) -> None:
        """Forget the oldest images that are gone, where more than MAX_GONE are; `present`: those that are there."""
        gone = len(self._handled) - len(present)
        if gone <= 2 * MAX_GONE or self._unwritten:
            return
        surplus = gone - MAX_GONE
        kept = []
        for digest in self._handled:
            if surplus and digest not in present:
                surplus -= 1
            else:
                kept.append(digest)
        try:
            self._rewrite_all(kept)
        except OSError as error:
            log.warning("%s: cannot be written (%s)", self.path, error.strerror)

    def close(self) -> None:
        """Close the file; one that has nothing in it is removed."""
        self.add(())
        if not self.count:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def _load(self) -> None:
        """Read the file, together with what is known already."""
        self._device = os.fstat(self._file.fileno()).st_dev
        self._file.seek(0)
        content = self._file.read()
        header, _, rest = content.partition(b"\n")
        if content and not (header.startswith(HEADER) and header[len(HEADER) :].isdigit()):
            self._file.close()
            raise UsageError(f"source.state_file: {self.path}: not a file of a watched folder; give another name")
        lines = rest.split(b"\n")[:-1]
        known = dict.fromkeys(line.decode() for line in lines if len(line) == 2 * DIGEST_BYTES)
        self._before = max(self._before, int(header[len(HEADER) :]) if content else 0)
        self._handled = known | self._handled
        self._lines = max(self._lines, len(self._handled))
        whole = HEADER + b"%d\n" % self._before + b"".join(line + b"\n" for line in lines)
        if whole != content:
            self._rewrite(whole)

    def _lock(self) -> None:
        try:
            lock(self._file.fileno())
        except BlockingIOError:
            self._file.close()
            raise UsageError(
                f"{self.path}: another monitor watches this folder; stop it, or watch its sub-folders one by one"
            ) from None
        except OSError as error:  # some network file systems have no locks
            log.warning("%s: cannot be locked (%s); see that one monitor alone watches it", self.path, error.strerror)

    def _rewrite_all(self, digests: list[str]) -> None:
        """Write the file anew with these images. Raises OSError."""
        before = self.count - len(digests)
        self._rewrite(HEADER + b"%d\n" % before + "".join(f"{digest}\n" for digest in digests).encode())
        self._handled, self._before, self._lines = dict.fromkeys(digests), before, len(digests)

    def _rewrite(self, content: bytes) -> None:
        part = self.path.with_name(f"{self.path.name}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        replace_durably(part, self.path)
        self._file.close()
        self._file = self.path.open("ab", buffering=0)
        self._lock()
