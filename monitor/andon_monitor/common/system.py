"""What operating systems do differently: locks of files, flags to open them, limits of the process.

Everything else in the packages is the same on Linux, macOS and Windows.
"""

import errno
import os
import sys
from pathlib import Path

# Flags of `os.open`, 0 where the system has none.
NONBLOCKING = getattr(os, "O_NONBLOCK", 0)  # does not wait for the writer of a pipe
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
BINARY = getattr(os, "O_BINARY", 0)  # Windows translates line ends without it

if sys.platform == "win32":
    import msvcrt

    # Windows forbids others to read what is locked: a byte that no file has. A folder is locked by a file in it.
    LOCKED_BYTE = 2**40
    LOCK_NAME = ".andon-lock"

    def lock(file: int) -> None:
        """Lock an open file until it is closed. Raises BlockingIOError where another process has locked it."""
        place = os.lseek(file, 0, os.SEEK_CUR)
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from None
        finally:
            os.lseek(file, place, os.SEEK_SET)

    def open_to_lock(folder: Path) -> int:
        """The descriptor that stands for a folder, to be locked and closed."""
        return os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | BINARY)

    def sync_folder(folder: Path) -> None:
        """Does nothing: Windows keeps names with the files."""

    def is_being_written(path: Path) -> bool:
        """False: Windows does not let others read a file that is open for writing."""
        return False

    def max_descriptors() -> int | None:
        """How many files this process may open; None without a limit."""
        return None

    def limit_processor_time(seconds: int) -> None:
        """Does nothing: Windows has no such limit; whoever waits for the process ends it."""

else:
    import fcntl
    import resource

    def lock(file: int) -> None:
        """Lock an open file until it is closed. Raises BlockingIOError where another process has locked it."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def open_to_lock(folder: Path) -> int:
        """The descriptor that stands for a folder, to be locked and closed."""
        return os.open(folder, os.O_RDONLY)

    def is_being_written(path: Path) -> bool:
        """Whether a process of this machine has a file open for writing; False where the system does not say.

        Linux gives a lease on a file to its owner alone, and only while nobody writes to it. Raises OSError.
        """
        if not hasattr(fcntl, "F_SETLEASE"):
            return False
        descriptor = os.open(path, os.O_RDONLY | NONBLOCKING)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN
        finally:
            os.close(descriptor)
        return False

    def sync_folder(folder: Path) -> None:
        """Put the names of a folder's files on disk. Raises OSError where the folder cannot be opened."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError:  # some network file systems cannot
            pass
        finally:
            os.close(descriptor)

    def max_descriptors() -> int | None:
        """How many files this process may open; None without a limit."""
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if most == resource.RLIM_INFINITY else most

    def limit_processor_time(seconds: int) -> None:
        """End this process when it has used so many seconds of processor time."""
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
