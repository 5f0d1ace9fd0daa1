"""The boxes of an MP4 or QuickTime file (ISO/IEC 14496-12): what a decoder reads past without a word."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SUFFIXES = (".mp4", ".m4v", ".mov")
CONTAINERS = (b"moov", b"trak", b"mdia")
HANDLER = slice(8, 12)  # of a handler's box: what its track holds
MAX_BOXES = 10_000  # cameras write a few, streams two for each second


def unread_parts(path: Path) -> str | None:
    """What of a video file is not read, None if nothing: its missing end, further videos or tracks. Raises OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        videos, tracks, end = 0, 0, 0
        for name, stop, body in _boxes(file, size):
            videos += name == b"moov"
            tracks += name == b"hdlr" and body[HANDLER] == b"vide"
            end = max(end, stop)
    parts = []
    if end > size:
        parts.append(f"cut short: {end - size} bytes are missing")
    if videos > 1:
        parts.append(f"{videos} videos in one file; the first one is read")
    elif tracks > 1:
        parts.append(f"{tracks} tracks with pictures; one is read")
    return "; ".join(parts) or None


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, end and first bytes of each box, also of those in a track's description."""
    place, count = 0, 0
    while place + 8 <= size and count < MAX_BOXES:
        count += 1
        file.seek(place)
        head = file.read(32)
        length, name, start = int.from_bytes(head[:4]), head[4:8], 8
        if length == 1:
            length, start = int.from_bytes(head[8:16]), 16
        elif length == 0:  # to the end of the file
            length = size - place
        if length < start:
            return  # not a box
        yield name, place + length, head[start:]
        place += start if name in CONTAINERS else length
