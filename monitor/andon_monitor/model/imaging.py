"""From the bytes of an image file to the model's input: decode, crop, one resize.

Training, evaluation and the line all call this code, so a file gives the same pixels everywhere.
"""

import io
import struct
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from andon_monitor.common import image_formats
from andon_monitor.errors import ImageError
from andon_monitor.model.card import InputSpec

Pixels = NDArray[np.uint8]

# The formats that are decoded; the header is read first, so that a decompression bomb costs nothing.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")
JPEG, PNG = image_formats.JPEG.signatures, image_formats.PNG.signatures
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of segments with the size: SOF0 to SOF15
DEFAULT_MAX_PIXELS = 50_000_000  # more than the largest area-scan cameras in use have; 150 MB in colour

# OpenCV's flags by channels and reduction; libjpeg then computes fewer pixels of each block of 8 x 8.
REDUCED_FLAGS = {
    (1, 2): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    (1, 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    (1, 8): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    (3, 2): cv2.IMREAD_REDUCED_COLOR_2,
    (3, 4): cv2.IMREAD_REDUCED_COLOR_4,
    (3, 8): cv2.IMREAD_REDUCED_COLOR_8,
}

Image.MAX_IMAGE_PIXELS = None  # `decode` checks a limit of its own on the header
# Several frames are decoded in parallel, each on one thread: OpenCV's own threads would only compete with these.
cv2.setNumThreads(1)


class Header(NamedTuple):
    """The header of an image file; sizes in pixels, as stored (before EXIF rotation)."""

    width: int
    height: int
    channels: int  # 1 grey, 3 colour
    depth: int  # bits per channel: 8 or 16


def read_header(data: bytes) -> Header:
    """Read the size, colour and depth of an encoded image. Raises ImageError (empty, undecodable)."""
    if not data:
        raise ImageError("empty", "empty: 0 bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            grey = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
            depth = 16 if image.mode.startswith("I") or _png_depth(data) == 16 else 8
            return Header(image.width, image.height, 1 if grey else 3, depth)
    except UnidentifiedImageError:
        raise ImageError("undecodable", f"not an image in a known format ({len(data)} bytes)") from None
    except (OSError, ValueError, SyntaxError, struct.error, OverflowError) as error:
        raise ImageError("undecodable", f"damaged image header: {error}") from None


def decode(
    data: bytes, channels: int, white_level: int = 255, max_pixels: int = DEFAULT_MAX_PIXELS, reduction: int = 1
) -> Pixels:
    """Decode an image file into uint8 [height, width, channels], RGB order, EXIF rotation applied.

    `channels` is 1 (grey) or 3 (RGB); `white_level` is the value of a 16-bit image that becomes 255 (4095 for a 12-bit
    camera). `reduction` (2, 4, 8; JPEG only) divides height and width, rounded up, and takes half the time or less.
    Raises ImageError: empty, undecodable (truncated files included), too_large.
    """
    width, height = _size(data) or read_header(data)[:2]
    if width * height > max_pixels:
        raise ImageError("too_large", f"{width} x {height} pixels, at most {max_pixels} pixels are allowed")
    if _is_cut_short(data):
        raise ImageError("undecodable", f"truncated image: its end is missing ({len(data)} bytes)")
    whole = (cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR) | cv2.IMREAD_ANYDEPTH
    flags = whole if reduction == 1 else REDUCED_FLAGS[channels, reduction]
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError("undecodable", f"damaged image: {error.err}") from None
    if image is None:
        raise ImageError("undecodable", f"damaged image ({len(data)} bytes)")
    if image.dtype == np.uint16:
        image = np.minimum(image.astype(np.float32) * (255 / white_level) + 0.5, 255).astype(np.uint8)
    if image.dtype != np.uint8:
        raise ImageError("undecodable", f"{image.dtype} pixels, 8 or 16 bits per channel are supported")
    pixels: Pixels = image[:, :, None] if channels == 1 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
    return pixels


def prepare(image: Pixels, spec: InputSpec, reduction: int = 1) -> Pixels:
    """Crop to the region of interest and resize to the model's input: uint8 [spec.height, spec.width, spec.channels].

    `image`: uint8 [height, width, spec.channels], from `decode` with that `reduction`. Shrinking averages areas,
    enlarging is bilinear. Raises ImageError (wrong_shape) if the size is not that of the training images.
    """
    height, width, channels = image.shape
    if channels != spec.channels:
        raise ImageError("wrong_shape", f"{channels} channels, the model takes {spec.channels}")
    if spec.frame_size is not None and (width, height) != tuple(-(-size // reduction) for size in spec.frame_size):
        width, height = reduction * width, reduction * height
        expected = f"{spec.frame_size[0]} x {spec.frame_size[1]}"
        raise ImageError("wrong_shape", f"{width} x {height} pixels, the model was trained on {expected}")
    if spec.region is not None:
        left, top, region_width, region_height = (length // reduction for length in spec.region)
        if left + region_width > width or top + region_height > height:
            raise ImageError("wrong_shape", f"{width} x {height} pixels, smaller than the region of interest")
        image = image[top : top + region_height, left : left + region_width]
    shrinks = image.shape[0] >= spec.height and image.shape[1] >= spec.width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (spec.width, spec.height), interpolation=method)
    return np.ascontiguousarray(resized.reshape(spec.height, spec.width, spec.channels))


def load(data: bytes, spec: InputSpec, max_pixels: int = DEFAULT_MAX_PIXELS) -> Pixels:
    """`decode` and `prepare` in one: the bytes of an image file to uint8 [spec.height, spec.width, spec.channels].

    A JPEG is decoded at `spec.reduction`. With a reduction of 2, pixels differ from those of a full decode by 0.25 grey
    levels on average and scores by up to 2 %: a model must be trained, calibrated and run with the same reduction.
    """
    reduction = spec.reduction if data.startswith(JPEG) else 1
    return prepare(decode(data, spec.channels, spec.white_level, max_pixels, reduction), spec, reduction)


def brightness(frame: Pixels) -> float:
    """Mean grey value of a frame (uint8 [H, W, C]), from 0 (black) to 1 (white)."""
    return cv2.mean(frame)[0] / 255 if frame.shape[2] == 1 else float(frame.mean()) / 255


def sharpness(frame: Pixels) -> float:
    """Variance of the Laplacian of a frame (uint8 [H, W, C]) in squared grey levels; falls when a lens loses focus.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    grey = frame[:, :, 0] if frame.shape[2] == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    edges = cv2.Laplacian(grey, cv2.CV_16S)
    # Mean square minus squared mean: exact sums of integers, ten times as fast as cv2.meanStdDev.
    return max(0.0, cv2.norm(edges, cv2.NORM_L2SQR) / edges.size - (cv2.sumElems(edges)[0] / edges.size) ** 2)


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG or PNG, or None if its header has anything unusual.

    Most frames are JPEG or PNG, and Pillow would take 1 % of the time for a frame.
    """
    if data.startswith(PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if not data.startswith(JPEG):
        return None
    place = 2
    while data[place : place + 1] == b"\xff" and place + 9 <= len(data):
        marker = data[place + 1]
        if marker in JPEG_SIZES:
            height, width = int.from_bytes(data[place + 5 : place + 7]), int.from_bytes(data[place + 7 : place + 9])
            return (width, height) if width and height else None
        if not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xDA:  # no segment with a length, or the scan itself
            return None
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return None


def _png_depth(data: bytes) -> int | None:
    """Bits per channel of a PNG, None for other formats: Pillow opens 16-bit colour as 8-bit."""
    return data[24] if data.startswith(PNG) and len(data) > 24 else None


def _is_cut_short(data: bytes) -> bool:
    """Whether the end of a JPEG or PNG is missing: OpenCV would decode the beginning and leave the rest grey."""
    if data.startswith(JPEG):
        return b"\xff\xd9" not in data[-1024:]  # some cameras pad after the end-of-image marker
    if data.startswith(PNG):
        return b"IEND" not in data[-1024:]
    return False
