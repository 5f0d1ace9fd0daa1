"""The bytes of an image file, whatever lies at its path: bounded in memory, and never waited for."""

import errno
import os
import stat
from pathlib import Path

from andon_monitor.errors import ImageError

MAX_FILE_BYTES = 2**28  # of an image file: more than any that can be decoded within the limits


def read_image_file(path: Path) -> bytes:
    """The bytes of an image file. Raises OSError, and ImageError (too_large).

    Never waits: a pipe, or what has become one since it was listed, is refused.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a file")
        data = file.read(MAX_FILE_BYTES + 1)
    if data is None:  # of a file such as /proc/kmsg, which would have to be waited for
        raise OSError(errno.EINVAL, "not a file")
    if len(data) > MAX_FILE_BYTES:
        size = max(facts.st_size, len(data))
        raise ImageError("too_large", f"a file of {size} bytes, at most {MAX_FILE_BYTES} are read")
    return data
