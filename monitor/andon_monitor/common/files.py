"""Input files that are read within bounds, and output files that appear whole or not at all."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from andon_monitor.common.system import BINARY, NONBLOCKING, sync_folder
from andon_monitor.errors import OutputError, UsageError

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # flags of a file that must not be there yet
PART = ".part"  # suffix of a file while it is being written


def read_within(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file. Raises OSError, also for more than `max_bytes`, and for a pipe, which may never end."""
    with os.fdopen(os.open(path, os.O_RDONLY | NONBLOCKING | BINARY), "rb") as file:
        facts = os.fstat(file.fileno())
        data = file.read(max_bytes + 1) if stat.S_ISREG(facts.st_mode) else None
    if data is None:  # also of a file such as /proc/kmsg, which would have to be waited for
        raise OSError(errno.EINVAL, "not a file")
    if len(data) > max_bytes:
        size = max(facts.st_size, len(data))
        raise OSError(errno.EFBIG, f"a file of {size} bytes, at most {max_bytes} are read")
    return data


def part_of(path: Path) -> Path:
    """Where a file is written before it gets its name: in the same folder, which makes renaming atomic."""
    return path.with_name(path.name + PART)


def is_device(path: Path) -> bool:
    """Whether `path` is a pipe, a terminal, /dev/null or the like, which is written in place."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Write a file that appears under its name once it is complete and on disk; after an error nothing remains.

    Creates missing folders. `mode`: who may read it, less what the umask forbids. Raises OutputError if the operating
    system refuses.
    """
    # A random new name: the file is neither another program's nor behind a link that somebody put there.
    part = path if is_device(path) else part_of(path.with_name(f"{path.name}.{secrets.token_hex(4)}"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = part.open("wb") if part == path else os.fdopen(os.open(part, NEW | BINARY, mode), "wb")
        with opened as file:
            yield file
            file.flush()
            if part != path:
                os.fsync(file.fileno())
        if part != path:
            replace_durably(part, path)
    except BaseException as error:
        if part != path:
            remove_quietly(part)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from None
        raise


def replace_durably(part: Path, path: Path) -> None:
    """Give a file that is on disk its final name; the name is on disk, too, when this returns. Raises OSError."""
    part.replace(path)
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file at once, as `whole_file` does."""
    with whole_file(path, mode) as file:
        file.write(content)


def check_writable(path: Path) -> None:
    """Raise UsageError if a file could not be written under this name; leaves no trace."""
    if path.is_dir():
        raise UsageError(f"{path}: a folder; give the name of a file")
    if is_device(path):
        return
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        probe = folder / f".andon-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def cannot_write(path: Path | str, error: OSError) -> OutputError:
    """The one-line error for an output that failed."""
    return OutputError(f"{path}: cannot be written ({error.strerror or error})")


def remove_quietly(path: Path) -> None:
    """Remove a file if that is possible."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
