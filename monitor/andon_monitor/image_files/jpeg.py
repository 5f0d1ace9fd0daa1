"""The segments of a JPEG file (ITU-T T.81)."""

import re

from andon_monitor.errors import ImageError
from andon_monitor.image_files.header import Header, damaged, exif_orientation, unsupported

EXIF = b"Exif\0\0"
FILLING = re.compile(rb"\xff{2,}")  # before a marker; its last byte is the marker's first
# Inside a scan 0xff is followed by 0x00 (a value), 0xd0 to 0xd7 (a restart) or 0xff (filling); else it is a marker.
SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
SOF, SOS, EOI, DQT, APP1 = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}, 0xDA, 0xD9, 0xDB, 0xE1
COEFFICIENTS = 64  # of a block
NO_LENGTH = frozenset([0x01, *range(0xD0, 0xD8)])
PROGRESSIVE = 0xC2
PROCESSES = {0xC0, 0xC1, PROGRESSIVE}  # baseline, extended, progressive: Huffman coded, what cameras write
# Each scan visits every block of the picture, which takes time even where the scan is a few bytes long. Encoders write
# about ten; this many of a picture of 1,000 x 1,000 take a third of a second.
MAX_SCANS = 64
MAX_SEGMENTS = 10_000  # cameras write about ten; each is read one by one, however short it is
# Scans times pixels: at most about two seconds of one core. Encoders write 10 scans of a colour picture, which memory
# limits to 33 megapixels, and 6 of a grey one.
MAX_SCANNED_PIXELS = 350_000_000


def read_jpeg(data: bytes) -> Header:
    """The header of a JPEG file whose segments are all there. Raises ImageError."""
    size: tuple[int, int, int, int] | None = None
    orientation, segments, scans, place = 1, 0, 0, 2
    missing: dict[int, bytearray] = {}
    while True:
        segments += 1
        if segments > MAX_SEGMENTS:
            raise ImageError("too_large", f"more than {MAX_SEGMENTS} segments in a JPEG")
        filling = FILLING.match(data, place)
        if filling is not None:
            place = filling.end() - 1
        head = data[place : place + 4]
        if len(head) < 2:
            raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
        marker = head[1]
        if head[0] != 0xFF or marker == 0:
            raise damaged(f"no JPEG marker at byte {place}")
        if marker == EOI:
            break
        if marker in NO_LENGTH:
            place += 2
            continue
        length = int.from_bytes(head[2:4])
        body = place + 4
        if len(head) < 4 or length < 2 or place + 2 + length > len(data):
            raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
        if marker in SOF:
            if size is not None:
                raise damaged("two pictures in one JPEG")
            size = _read_frame(marker, data[body : place + 2 + length])
            missing = {data[body + 6 + 3 * i]: bytearray(b"\xff" * COEFFICIENTS) for i in range(size[3])}
        elif marker == APP1 and data.startswith(EXIF, body):
            orientation = exif_orientation(data[body + len(EXIF) : place + 2 + length])
        place += 2 + length
        if marker == SOS:
            _note_scan(missing, data[body:place], sequential=size is not None and size[0] != PROGRESSIVE)
            scans += 1
            if scans > MAX_SCANS:
                raise ImageError("too_large", f"more than {MAX_SCANS} scans in a JPEG")
            end = SCAN_END.search(data, place)
            if end is None:
                raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
            place = end.start()
    if size is None or scans == 0:
        raise damaged("no picture in this JPEG")
    if any(any(bits) for bits in missing.values()):
        raise damaged("scans are missing in this JPEG")
    process, width, height, components = size
    if scans * width * height > MAX_SCANNED_PIXELS:
        raise ImageError("too_large", f"{scans} scans of {width} x {height} pixels in a JPEG")
    # Where a picture comes in several scans the decoder keeps all coefficients, 16 bits each.
    working = 2 * width * height * components if process == PROGRESSIVE or scans > 1 else 0
    return Header("JPEG", width, height, 1 if components == 1 else 3, orientation=orientation, working_bytes=working)


def quantization(data: bytes) -> bytes:
    """The quantization tables before the first scan of a sound JPEG file: pictures of one quality have the same."""
    tables, place = [], 2
    while data[place + 1] != SOS:
        if data[place + 1] == 0xFF or data[place + 1] in NO_LENGTH:
            place += 1 if data[place + 1] == 0xFF else 2
            continue
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if data[place + 1] == DQT:
            tables.append(data[place + 4 : end])
        place = end
    return b"".join(tables)


def _read_frame(marker: int, body: bytes) -> tuple[int, int, int, int]:
    """Process, width, height and components of a frame header."""
    if len(body) < 6:
        raise damaged("short frame header")
    bits, height, width, components = body[0], int.from_bytes(body[1:3]), int.from_bytes(body[3:5]), body[5]
    if marker not in PROCESSES:
        raise unsupported("JPEG with arithmetic coding, lossless or hierarchical")
    if bits != 8:
        raise unsupported(f"JPEG with {bits} bits a channel")
    if components == 4:
        raise unsupported("JPEG in CMYK")
    if components not in (1, 3) or not width or not height:
        raise damaged(f"{width} x {height} pixels with {components} channels")
    if len(body) != 6 + 3 * components:
        raise damaged("short frame header")
    return marker, width, height, components


def _note_scan(missing: dict[int, bytearray], body: bytes, sequential: bool) -> None:
    """Take what a scan brings from the low bits that are missing of each component's coefficients, 255 for all.

    A decoder draws what scans there are: a file that ends after some of them is a blurred picture without a warning.
    """
    count = body[0] if body else 0
    if len(body) != 4 + 2 * count:
        raise damaged("scan header")
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    start, end, left = (0, COEFFICIENTS - 1, 0) if sequential else (first, last, bits & 15)
    if start > end or end >= COEFFICIENTS:
        raise damaged("scan header")
    for i in range(count):
        component = missing.get(body[1 + 2 * i])
        if component is None:
            raise damaged("a scan of a channel that there is not")
        component[start : end + 1] = bytes([left]) * (end + 1 - start)
