"""The chunks of a PNG file (ISO/IEC 15948)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from andon_monitor.errors import ImageError
from andon_monitor.image_files.header import Header, damaged, exif_orientation, inflating_work, unsupported
from andon_monitor.image_files.signatures import PNG

START = PNG.signatures[0]
HEAD = struct.Struct(">I4s")
# What pixels are made of. Everything else may hold compressed text or profiles of any size, and is not decoded.
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
# Adam7: where each pass of an interlaced picture begins and how far its pixels are apart, across and down.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
MAX_CHUNKS = 65_536  # each is read one by one, even an empty one; most encoders fill 8 KiB or more
# Pillow holds a colour picture in 4 bytes a pixel and copies it twice: larger ones are for OpenCV, which takes 3.
MAX_PILLOW_PIXELS = 16_000_000
DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    COLOUR: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    COLOUR_ALPHA: (8, 16),
}


@dataclass(frozen=True, slots=True)
class PngFile:
    """The header, the file with nothing but its pixels, and how many bytes these are once inflated.

    `colours`: of its palette, None where it has none.
    """

    header: Header
    data: bytes
    interlaced: bool
    inflated_bytes: int
    colours: int | None = None


def read_png(data: bytes) -> PngFile:
    """Read a PNG file whose chunks are all there. Raises ImageError."""
    header: tuple[int, int, int, int, bool] | None = None
    orientation, transparent, pixels, extra = 1, False, False, False
    colours: int | None = None
    kept = [START]
    for name, start, end in chunks(data):
        if header is None:
            if name != b"IHDR" or end - start != 13:
                raise damaged("a PNG has to begin with its header")
            header = _read_size(data[start:end])
        elif name == b"IHDR":
            raise damaged("two headers in one PNG")
        elif name == b"acTL":
            raise unsupported("animated PNG")
        elif name == b"eXIf":
            orientation = exif_orientation(data[start:end])
        elif name == b"PLTE" and not pixels:
            colours = (end - start) // 3
        transparent |= name == b"tRNS"
        pixels |= name == b"IDAT"
        if name in PIXEL_CHUNKS:
            kept.append(data[start - 8 : end + 4])
        else:
            extra = True
    if header is None or not pixels:
        raise damaged("no pixels in this PNG")
    width, height, bits, colour, interlaced = header
    if colour == PALETTE and not colours:
        raise damaged("no palette in this PNG")
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in passes]
    inflated = sum(
        rows * (1 + -(-columns * bits * SAMPLES[colour] // 8)) for columns, rows in sizes if columns > 0 and rows > 0
    )
    kept_data = b"".join(kept) if extra else data
    samples = 1 if colour == GREY else 4
    huge = width * height > MAX_PILLOW_PIXELS
    inflated_twice = huge or interlaced or (bits == 16 and colour != GREY)
    result = Header(
        "PNG",
        width,
        height,
        1 if colour in (GREY, GREY_ALPHA) else 3,
        depth=16 if bits == 16 else 8,
        alpha=transparent or colour in (GREY_ALPHA, COLOUR_ALPHA),
        orientation=orientation,
        levels=65535 if bits == 16 else 255,
        working_bytes=0 if huge else 2 * samples * width * height,
        inflating_work=inflating_work(inflated, len(kept_data)) if inflated_twice else 0,
    )
    return PngFile(result, kept_data, interlaced, inflated, colours if colour == PALETTE else None)


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the body of each chunk up to the last one; what follows that is ignored."""
    place, count = len(START), 0
    view = memoryview(data)
    while True:
        count += 1
        if count > MAX_CHUNKS:
            raise ImageError("too_large", f"more than {MAX_CHUNKS} chunks in a PNG")
        if place + 12 > len(data):
            raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
        length, name = HEAD.unpack_from(data, place)
        start, end = place + 8, place + 8 + length
        if end + 4 > len(data):
            if name.isalpha():
                raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
            raise damaged(f"no PNG chunk at byte {place}")
        if zlib.crc32(view[place + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise damaged(f"wrong checksum of PNG chunk {name.decode('ascii', 'replace')} at byte {place}")
        yield name, start, end
        if name == b"IEND":
            return
        place = end + 4


def check_inflated(file: PngFile) -> None:
    """Raise ImageError where the compressed data are not exactly the pixels.

    Decoders disagree on such files: some leave the missing rows black, some inflate gigabytes behind the last row.
    """
    inflater, left = zlib.decompressobj(), file.inflated_bytes + 1
    try:
        for name, start, end in chunks(file.data):
            if name == b"IDAT":
                left -= len(inflater.decompress(file.data[start:end], left))
                if left <= 0:
                    raise damaged("more data than pixels in this PNG")
    except zlib.error as error:
        raise damaged(str(error)) from None
    if left != 1:
        raise damaged("pixels are missing in this PNG")


def _read_size(body: bytes) -> tuple[int, int, int, int, bool]:
    """Width, height, bits a channel, type of colour, whether interlaced."""
    width, height, bits, colour, compression, filtering, interlaced = struct.unpack(">IIBBBBB", body)
    if bits not in DEPTHS.get(colour, ()) or compression or filtering or interlaced > 1 or not width or not height:
        raise damaged(f"PNG header with {width} x {height} pixels, {bits} bits, colour type {colour}")
    return width, height, bits, colour, bool(interlaced)
