"""The headers of WebP, BMP and PNM files."""

import re
import struct
from typing import Literal

from andon_monitor.errors import ImageError
from andon_monitor.image_files.header import Header, damaged, exif_orientation, unsupported

ANIMATED, TRANSPARENT = 0x02, 0x10  # flags of WebP's extended header
PNM = re.compile(rb"P([56])\s(?:\s*#[^\n]*\n)*\s*(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,5})\s")
USUAL_MASKS = {16: ((0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)), 32: ((0xFF0000, 0xFF00, 0xFF),)}  # of BMP
BMP_ROW_BITS = 32  # rows are padded to these


def read_webp(data: bytes) -> Header:
    """The header of a WebP file whose chunks are all there. Raises ImageError."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data) or len(data) < 30:
        raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
    size: tuple[int, int] | None = None
    canvas: tuple[int, int] | None = None
    alpha, orientation, place = False, 1, 12
    while place + 8 <= end:
        name, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        start = place + 8
        if start + length > end:
            raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
        if name == b"VP8X" and length >= 10:
            if data[start] & ANIMATED:
                raise unsupported("animated WebP")
            alpha |= bool(data[start] & TRANSPARENT)
            canvas = (
                1 + int.from_bytes(data[start + 4 : start + 7], "little"),
                1 + int.from_bytes(data[start + 7 : start + 10], "little"),
            )
        elif name == b"VP8 " and length >= 10:
            size = (
                int.from_bytes(data[start + 6 : start + 8], "little") & 0x3FFF,
                int.from_bytes(data[start + 8 : start + 10], "little") & 0x3FFF,
            )
        elif name == b"VP8L" and length >= 5:
            bits = int.from_bytes(data[start + 1 : start + 5], "little")
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
            alpha |= bool(bits >> 28 & 1)
        elif name in (b"ANIM", b"ANMF"):
            raise unsupported("animated WebP")
        elif name == b"EXIF":
            orientation = exif_orientation(data[start : start + length].removeprefix(b"Exif\0\0"))
        place = start + length + length % 2
    if size is None or not all(size) or (canvas is not None and canvas != size):
        raise damaged("no picture in this WebP")
    # The decoder keeps the picture in another form, too, before it gives out pixels.
    return Header("WebP", *size, channels=3, alpha=alpha, orientation=orientation, working_bytes=4 * size[0] * size[1])


def read_bmp(data: bytes) -> Header:
    """The header of a BMP file whose rows are all there. Raises ImageError."""
    if len(data) < 30:
        raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
    pixels, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    elif size in (40, 52, 56, 64, 108, 124) and len(data) >= 14 + size:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    else:
        raise damaged(f"BMP header of {size} bytes")
    height = abs(height)
    if compression in (1, 2):
        raise unsupported("BMP with run-length encoding; save it without compression")
    if compression not in (0, 3) or bits not in (1, 4, 8, 16, 24, 32) or width <= 0 or height == 0:
        raise unsupported(f"BMP with {width} x {height} pixels of {bits} bits, compression {compression}")
    if compression == 3 and not _has_usual_masks(data, size, bits):
        raise unsupported("BMP with its colours in other bits than usual")
    if pixels + height * (-(-width * bits // BMP_ROW_BITS) * BMP_ROW_BITS // 8) > len(data):
        raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
    grey = bits <= 8 and _has_grey_palette(data, 14 + size, 3 if size == 12 else 4, pixels)
    return Header("BMP", width, height, channels=1 if grey else 3)


def _has_usual_masks(data: bytes, size: int, bits: int) -> bool:
    """Whether red, green and blue are in the bits that the decoder takes them from."""
    masks = struct.unpack_from("<III", data, 54) if len(data) >= 66 else ()
    return masks in USUAL_MASKS.get(bits, ())


def _has_grey_palette(data: bytes, start: int, entry: int, end: int) -> bool:
    palette = data[start : max(start, end)]
    colours = [palette[i : i + 3] for i in range(0, len(palette) - entry + 1, entry)]
    return all(blue == green == red for blue, green, red in colours)


def read_pnm(data: bytes) -> tuple[Header, int]:
    """The header of a binary PGM or PPM file whose pixels are all there, and where they begin. Raises ImageError."""
    match = PNM.match(data[:4096])
    if match is None:
        raise damaged("PNM header")
    width, height, levels = (int(match.group(i)) for i in (2, 3, 4))
    channels: Literal[1, 3] = 1 if match.group(1) == b"5" else 3
    if not width or not height or not 0 < levels < 65536:
        raise damaged(f"PNM header with {width} x {height} pixels, largest value {levels}")
    depth: Literal[8, 16] = 16 if levels > 255 else 8
    if match.end() + width * height * channels * depth // 8 > len(data):
        raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
    return Header("PNM", width, height, channels, depth=depth, levels=levels), match.end()
