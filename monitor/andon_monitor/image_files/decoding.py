"""From a sound image file to its pixels. The bytes of a file give the same pixels everywhere."""

import io
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from andon_monitor.errors import ImageError
from andon_monitor.image_files.header import Header, damaged, name_of
from andon_monitor.image_files.jpeg import read_jpeg
from andon_monitor.image_files.png import MAX_PILLOW_PIXELS, PngFile, check_inflated, read_png
from andon_monitor.image_files.signatures import BMP, JPEG, PGM, PNG, PPM, TIFF, WEBP, detect
from andon_monitor.image_files.simple_formats import read_bmp, read_pnm, read_webp
from andon_monitor.image_files.tiff import TiffFile, check_decompressed, read_tiff

Pixels = NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm")
DEFAULT_MAX_PIXELS = 50_000_000  # 50 megapixels: above the largest area-scan cameras in use, 150 MB in colour
DEFAULT_MAX_BYTES = 300_000_000  # memory for decoding one frame: a colour frame of 50 megapixels twice
MAX_BYTES_OF_ALL = 600_000_000  # memory for decoding in all threads together
# Of one PNG or TIFF, see `Header.inflating_work`: 2 s of a core. Where more pixels are allowed, so is more of this.
MAX_INFLATING_WORK = 180_000_000
OTHER_KINDS = {"TIFF": "BigTIFF", "PPM": "PNM other than binary PGM and PPM"}  # of formats that are read
ROWS_AT_ONCE = 256  # of a 16-bit picture that is being brought to 8 bits

# One frame is one thread's work: frames are decoded side by side, so OpenCV's own threads would only contend.
cv2.setNumThreads(1)
# What it finds wrong with an image is in the verdict; a log of a line each is not for its standard error.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True, slots=True)
class DecodingLimits:
    """How large an image may be: pixels, and bytes of memory that decoding takes."""

    max_pixels: int = DEFAULT_MAX_PIXELS
    max_bytes: int = DEFAULT_MAX_BYTES

    def check(self, header: Header) -> None:
        """Raise ImageError (too_large) where a file exceeds them."""
        size = f"{header.width} x {header.height} pixels"
        if header.width * header.height > self.max_pixels:
            raise ImageError("too_large", f"{size}, at most {self.max_pixels} pixels are allowed")
        if header.decoded_bytes > self.max_bytes:
            needed, allowed = header.decoded_bytes // 10**6, self.max_bytes // 10**6
            raise ImageError(
                "too_large", f"{size} as {header.format} need {needed} MB to decode, at most {allowed} MB are allowed"
            )
        most_work = MAX_INFLATING_WORK * max(1.0, self.max_pixels / DEFAULT_MAX_PIXELS)
        if header.inflating_work > most_work:
            raise ImageError(
                "too_large",
                f"{size} in this {header.format} take as long to inflate as {header.inflating_work // 10**6} MB, at "
                f"most {most_work / 1e6:.0f} MB are allowed; a higher limit for pixels allows more",
            )


DEFAULT_LIMITS = DecodingLimits()


class _Memory:
    """Bytes that all threads together may decode into at once; who would exceed them waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Wait until there is room. One picture alone always has it: its own size is limited elsewhere."""
        with self._changed:
            self._changed.wait_for(lambda: self._used == 0 or self._used + size <= self._limit)
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()


_memory = _Memory(MAX_BYTES_OF_ALL)


def read_header(data: bytes) -> Header:
    """Size, colour, depth and soundness of an encoded image, without decoding it.

    Raises ImageError: empty, undecodable (also truncated, damaged, animated, CMYK, several pages, ...), too_large.
    """
    return _open(data)[0]


def _open(data: bytes) -> tuple[Header, bytes | PngFile | TiffFile]:
    """The header, and the file as the decoder takes it."""
    kind = detect(data)
    if kind is JPEG:
        return read_jpeg(data), data
    if kind is PNG:
        file = read_png(data)
        return file.header, file
    if kind is WEBP:
        return read_webp(data), data
    if kind is TIFF:
        tiff = read_tiff(data)
        return tiff.header, tiff
    if kind is BMP:
        return read_bmp(data), data
    if kind in (PGM, PPM):
        header, start = read_pnm(data)
        return header, data[start:]
    if not data:
        raise ImageError("empty", "empty: 0 bytes")
    name = name_of(data)
    if name == "unknown":
        raise ImageError("undecodable", f"not an image in a known format ({len(data)} bytes)")
    raise ImageError(
        "undecodable",
        f"{OTHER_KINDS.get(name, name)} images are not supported; save it as PNG, JPEG, WebP, BMP, TIFF or PPM",
    )


def decode(
    data: bytes,
    channels: int,
    levels: tuple[int, int] | None = None,
    limits: DecodingLimits = DEFAULT_LIMITS,
    reduction: int = 1,
    max_depth: int = 16,
) -> Pixels:
    """Decode an image file into uint8 [height, width, channels], RGB order, its EXIF orientation applied.

    `channels` is 1 (grey) or 3 (RGB); `levels` are the values of a 16-bit image that become 0 and 255 (0 and 4095 for a
    12-bit camera); without them, the whole range of the file. `reduction` (1, 2, 4, 8; JPEG only) divides height and
    width, rounded up, in half the time or less. Raises ImageError: empty, undecodable (any damage that the file or its
    decoder reports), too_large, wrong_shape (more bits a channel than `max_depth`; 8 bits where levels begin above 0,
    which say nothing of an image of 8 bits).
    """
    header, body = _open(data)
    limits.check(header)
    if header.depth > max_depth:
        raise ImageError("wrong_shape", f"{header.depth} bits a channel, the model was trained on {max_depth}")
    if header.depth == 8 and levels is not None and levels[0] > 0:
        raise ImageError("wrong_shape", f"8 bits a channel, the model was trained on 16, of which {levels[0]} is black")
    with _memory.reserved(header.decoded_bytes):
        image = _decode_stored(body, header, channels, reduction)
        if image.dtype == np.uint16:
            image = _to_8_bits(image, levels or (0, header.levels))
        return _upright(image.reshape(*image.shape[:2], channels), header.orientation)


def decode_values(data: bytes, limits: DecodingLimits = DEFAULT_LIMITS) -> NDArray[Any]:
    """Decode an image file into the values that it holds, upright: uint8 or uint16 [height, width, 1 or 3], RGB order.

    Raises ImageError: empty, undecodable, too_large.
    """
    header, body = _open(data)
    limits.check(header)
    with _memory.reserved(header.decoded_bytes):
        image = _decode_stored(body, header, header.channels)
        return _upright(image.reshape(*image.shape[:2], header.channels), header.orientation)


def _decode_stored(body: bytes | PngFile | TiffFile, header: Header, channels: int, reduction: int = 1) -> NDArray[Any]:
    """Pixels as they are stored, uint8 or uint16, in so many channels."""
    if isinstance(body, PngFile):
        return _decode_png(body, channels)
    if isinstance(body, TiffFile):
        check_decompressed(body)
        return _decode_with_opencv(body.data, header, channels)
    if header.format == "JPEG":
        return _decode_jpeg(body, header, channels, reduction)
    if header.format == "PNM":
        return _decode_pnm(body, header, channels)
    return _decode_with_opencv(body, header, channels)


def _decode_jpeg(data: bytes, header: Header, channels: int, reduction: int) -> NDArray[Any]:
    height, width = (-(-side // reduction) for side in (header.height, header.width))
    try:
        # Strict: what libjpeg only warns of, such as bytes missing in the middle, is damage.
        image: NDArray[Any] = simplejpeg.decode_jpeg(
            data, "GRAY" if channels == 1 else "RGB", min_height=height, min_width=width, strict=True
        )
    except ValueError as error:
        raise damaged(str(error)) from None
    return image


def _decode_pnm(data: bytes, header: Header, channels: int) -> NDArray[Any]:
    kind = np.dtype(">u2") if header.depth == 16 else np.dtype(np.uint8)
    count = header.width * header.height * header.channels
    stored = np.frombuffer(data, kind, count).reshape(header.height, header.width, header.channels)
    image: NDArray[Any] = stored.astype(np.uint16 if header.depth == 16 else np.uint8)
    if header.levels not in (255, 65535) and int(image.max()) > header.levels:
        raise damaged(f"values above {header.levels}, the largest that its header allows")
    if header.levels < 255:
        image = cv2.convertScaleAbs(image, alpha=255 / header.levels).reshape(image.shape)
    return _as_channels(image, channels)


def _decode_png(file: PngFile, channels: int) -> NDArray[Any]:
    header = file.header
    # Pillow would keep 8 of 16 bits, takes more memory, and refuses pictures that are larger than it thinks right.
    most = min(MAX_PILLOW_PIXELS, Image.MAX_IMAGE_PIXELS or MAX_PILLOW_PIXELS)
    huge = header.width * header.height > most
    if huge or (header.depth == 16 and (header.channels == 3 or header.alpha)):
        check_inflated(file)
        return _decode_with_opencv(file.data, header, channels)
    mode = ("L" if header.channels == 1 else "RGB") + ("A" if header.alpha else "")
    try:
        with Image.open(io.BytesIO(file.data), formats=("PNG",)) as opened:
            image = stored = np.asarray(opened)
            if file.colours is not None and int(stored.max()) >= file.colours:
                raise damaged(f"colours that its palette of {file.colours} does not have")
            if header.depth == 8 and opened.mode != mode:  # a palette, or fewer bits
                image = np.asarray(opened.convert(mode))
    except (OSError, ValueError, SyntaxError, zlib.error) as error:
        raise damaged(str(error)) from None
    if file.interlaced or not stored[-1].any():  # Pillow leaves rows that are missing black
        check_inflated(file)
    return _as_channels(image.astype(np.uint16, copy=False) if header.depth == 16 else image, channels)


def _decode_with_opencv(data: bytes, header: Header, channels: int) -> NDArray[Any]:
    flags = cv2.IMREAD_UNCHANGED
    if not header.alpha:
        flags = cv2.IMREAD_GRAYSCALE if header.channels == 1 else cv2.IMREAD_COLOR_BGR
        flags |= cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise damaged(error.err) from None
    if image is None:
        raise damaged(f"{header.format} that cannot be decoded ({len(data)} bytes)")
    if image.dtype != (np.uint16 if header.depth == 16 else np.uint8):
        raise damaged(f"{image.dtype} pixels in a {header.format} of {header.depth} bits")
    if image.shape[:2] != (header.height, header.width):
        raise damaged(f"{image.shape[1]} x {image.shape[0]} pixels in a file of {header.width} x {header.height}")
    if image.ndim == 3:
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA, dst=image)
    return _as_channels(image, channels)


def _as_channels(image: NDArray[Any], channels: int) -> NDArray[Any]:
    """Pixels [H, W], [H, W, 2] (grey, alpha), RGB or RGBA as grey or RGB, if none is transparent. Raises ImageError."""
    stored = image.shape[2] if image.ndim == 3 else 1
    if stored in (2, 4):
        if int(image[:, :, -1].min()) != np.iinfo(image.dtype).max:
            raise ImageError("undecodable", "not supported: transparent pixels; save it without transparency")
        image = np.ascontiguousarray(image[:, :, : stored - 1])
    if (stored < 3) == (channels == 1):
        return image
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY if channels == 1 else cv2.COLOR_GRAY2RGB)


def _to_8_bits(image: NDArray[Any], levels: tuple[int, int]) -> Pixels:
    """Bring uint16 pixels to uint8, a few rows at once; what lies outside the levels becomes black or white."""
    black, white = levels
    result = np.empty(image.shape, np.uint8)
    for start in range(0, len(image), ROWS_AT_ONCE):
        rows = image[start : start + ROWS_AT_ONCE]
        above = np.subtract(np.maximum(rows, black), black, dtype=np.uint16) if black else np.ascontiguousarray(rows)
        result[start : start + ROWS_AT_ONCE] = cv2.convertScaleAbs(above, alpha=255 / (white - black)).reshape(
            rows.shape
        )
    return result


def _upright(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation (1 to 8) to [H, W, C]."""
    if orientation == 1:
        return image
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    flips = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    return np.ascontiguousarray(np.flip(image, flips))
