"""Small files that claim, or hold, far more than they should; and files with which nothing is wrong."""

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

RNG = np.random.default_rng(0)
COLOUR = cv2.GaussianBlur(RNG.integers(0, 256, (123, 321, 3), dtype=np.uint8), (0, 0), 3)  # RGB
PNG_START = b"\x89PNG\r\n\x1a\n"


def saved(kind: str, pixels: NDArray[Any] = COLOUR, mode: str | None = None, **options: Any) -> bytes:
    """A file as Pillow writes it."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(pixels: bytes, *between: bytes, side: int = 64, interlaced: int = 0) -> bytes:
    """A grey PNG of side x side pixels whose compressed data are whatever is given."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, interlaced))
    return PNG_START + header + b"".join(between) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def wide_png() -> bytes:
    """An interlaced colour PNG of 34 megapixels with hardly any pixels in it: within all limits but the memory's."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 128, 262240, 8, 2, 0, 0, 1))
    return PNG_START + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def deep_png(side: int) -> bytes:
    """A black colour PNG of 16 bits, side x side pixels: 6 bytes each, 24 as floating-point numbers."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0))
    return PNG_START + header + chunk(b"IDAT", zlib.compress(bytes((6 * side + 1) * side))) + chunk(b"IEND", b"")


def progressive(scans: int, side: int) -> bytes:
    """A flat picture whose last scan comes again and again: each costs time and hardly a byte."""
    data = saved("JPEG", np.full((side, side), 120, np.uint8), progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scans * last + b"\xff\xd9"


def bombs() -> dict[str, bytes]:
    """Small files that claim, or hold, far more than they should."""
    pixels = zlib.compress(bytes(65 * 64))
    zeros = zlib.compress(bytes(400_000_000), 9)
    claim = PNG_START + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0))
    tiff = bytearray(saved("TIFF"))
    return {
        "sound": saved("PNG"),
        "claimed IDAT": claim + struct.pack(">I", 0x7FFFFFFF) + b"IDAT" + pixels,
        "claimed text": claim + struct.pack(">I", 0x7FFFFFFF) + b"tEXt" + pixels,
        "negative IDAT": claim + struct.pack(">I", 0xFFFFFFEF) + b"IDAT" + pixels,
        "text": png(pixels, chunk(b"zTXt", b"a\0\0" + zeros)),
        "profile": png(pixels, chunk(b"iCCP", b"a\0\0" + zeros)),
        "rows": png(zeros),
        "size": png(pixels, side=60000),
        "interlaced": wide_png(),
        "tiff size": bytes(tiff.replace(struct.pack("<HHII", 256, 4, 1, 321), struct.pack("<HHII", 256, 4, 1, 10**9))),
        "scans": progressive(60, 3000),
    }
