"""The bytes of an image file, whatever lies at its path: bounded in memory, and never waited for."""

import errno
from pathlib import Path

from andon_monitor.common.files import read_within
from andon_monitor.errors import ImageError

MAX_FILE_BYTES = 2**28  # of an image file: more than any that can be decoded within the limits


def read_image_file(path: Path) -> bytes:
    """The bytes of an image file. Raises OSError, also for a pipe, and ImageError (too_large)."""
    try:
        return read_within(path, MAX_FILE_BYTES)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ImageError("too_large", str(error.strerror)) from None
        raise
