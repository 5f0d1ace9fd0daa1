"""Masks: where on a camera's frame a model looks, as polygons or as pixels, in pixels of the frame."""

import base64
import binascii
import json
import zlib
from pathlib import Path
from typing import Annotated, Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from andon_monitor.common.files import read_within
from andon_monitor.common.text import shown
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.image_files.decoding import DecodingLimits, decode_values

MAX_SIDE = 65_535  # pixels of a camera frame
MAX_FRAME_PIXELS = 2**27  # of a frame with a mask: it is drawn at the frame's size
MAX_AREAS = 200  # polygons of one kind
MAX_CORNERS = 500  # of one polygon
MAX_ALL_CORNERS = 5000  # of all polygons: 60 kB on the card and in each evidence package
MAX_PACKED_CHARS = 100_000  # of a mask in pixels, packed: one with smooth outlines has some thousands
MAX_FILE_BYTES = 50_000_000
MAX_JSON_BYTES = 2_000_000  # ten times a file with as many corners as are allowed
MAX_GREY_SHARE = 0.01  # of a mask file's pixels that are neither black nor white: the edges of drawn areas
MIN_AREA = 1.0  # square pixels of a polygon
MAX_ASPECT_ERROR = 1.0  # pixels by which a frame may miss the mask's aspect ratio: sizes are rounded

Coordinate = Annotated[float, Field(ge=0, le=MAX_SIDE, allow_inf_nan=False)]
Length = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Polygon = Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(max_length=MAX_CORNERS + 1)]
Masked = NDArray[np.bool_]  # [height, width], true where the model does not look


class Mask(BaseModel):
    """Where a model looks: inside of any of the `regions`, or everywhere without them, but in no `ignore` area.

    `size` (width, height) is that of the frame whose pixels the corners (x, y) of polygons are measured in, from its
    top left corner. A frame of another size has the same mask, scaled, if its aspect ratio is the same. `pixels`, from
    an image file instead of polygons, is what `pack` makes of the masked pixels of such a frame.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    size: tuple[Length, Length]
    regions: tuple[Polygon, ...] = Field(default=(), max_length=MAX_AREAS)
    ignore: tuple[Polygon, ...] = Field(default=(), max_length=MAX_AREAS)
    pixels: str | None = Field(default=None, max_length=MAX_PACKED_CHARS)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        width, height = self.size
        if width * height > MAX_FRAME_PIXELS:
            raise ValueError(f"size {width} x {height}: at most {MAX_FRAME_PIXELS} pixels are right")
        if self.pixels is not None and (self.regions or self.ignore):
            raise ValueError("has pixels and polygons; one of them is right")
        if self.pixels is None and not self.regions and not self.ignore:
            raise ValueError("has no area; give regions, ignore, or both")
        corners = sum(map(len, self.regions + self.ignore))
        if corners > MAX_ALL_CORNERS:
            raise ValueError(f"its polygons have {corners} corners, at most {MAX_ALL_CORNERS} are right")
        for name in ("regions", "ignore"):
            for number, polygon in enumerate(getattr(self, name), start=1):
                fault = polygon_fault(polygon, self.size)
                if fault is not None:
                    raise ValueError(f"{name} {number}: {fault}")
        if self.pixels is not None:
            unpack(self.pixels, self.size)
        return self

    def fits(self, width: int, height: int) -> bool:
        """Whether a frame of this size has the mask's aspect ratio."""
        wide, high = width / self.size[0], height / self.size[1]
        return abs(wide - high) * min(self.size) <= MAX_ASPECT_ERROR * max(1.0, wide, high)

    def draw(self, width: int, height: int) -> Masked:
        """The masked pixels of a frame of this size, bool [height, width]."""
        if self.pixels is not None:
            masked = unpack(self.pixels, self.size).view(np.uint8)
            # Of a pixel that several ones become, any masked one counts.
            return shrink(masked, height, width, enlarge=True).view(np.bool_)
        scale = width / self.size[0], height / self.size[1]
        masked = np.full((height, width), 1 if self.regions else 0, np.uint8)
        for polygons, value in ((self.regions, 0), (self.ignore, 1)):
            for polygon in polygons:
                # OpenCV's coordinates are those of pixels' middles; four bits are fractions.
                points = (np.array(polygon) * scale - 0.5) * 16
                cv2.fillPoly(masked, [points.round().astype(np.int32)], value, shift=4)
        return masked.view(np.bool_)


def polygon_fault(polygon: Polygon, size: tuple[int, int]) -> str | None:
    """What is wrong with a polygon on a frame of a size (width, height); None where nothing is."""
    corners = np.array(polygon, dtype=np.float64).reshape(-1, 2)
    if len(corners) > 1 and (corners[0] == corners[-1]).all():
        corners = corners[:-1]  # closed by its first corner, as some programs write it
    if len(corners) < 3:
        return f"{len(corners)} different corners; a polygon has at least 3"
    outside = (corners < 0).any(axis=1) | (corners > size).any(axis=1)
    if outside.any():
        x, y = corners[outside][0]
        return f"corner {x:g},{y:g} is outside the frame of {size[0]} x {size[1]} pixels"
    crossing = self_crossing(corners)
    if crossing is not None:
        return f"crosses or touches itself: its sides {crossing[0]} and {crossing[1]} meet"
    x, y = corners.T
    area = abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    return f"an area of {area:.2g} square pixels, at least {MIN_AREA:g} is right" if area < MIN_AREA else None


def self_crossing(corners: NDArray[np.float64]) -> tuple[int, int] | None:
    """The numbers, from 1, of two sides of a polygon [n, 2] that meet and are not neighbours; None without any."""
    count = len(corners)
    start, end = corners, np.roll(corners, -1, axis=0)

    def side_of(point: NDArray[np.float64]) -> NDArray[np.float64]:
        """On which side of each line (rows) each point (columns) is: [n, n]."""
        along = (end - start)[:, None]
        to = point[None] - start[:, None]
        return np.sign(along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0])

    def within(point: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each point (columns) is in the box around each line (rows): [n, n]."""
        low, high = np.minimum(start, end)[:, None], np.maximum(start, end)[:, None]
        return np.all((low <= point[None]) & (point[None] <= high), axis=2)

    first, second = side_of(start), side_of(end)
    proper = (first * second < 0) & (first * second < 0).T
    on_line = ((first == 0) & within(start)) | ((second == 0) & within(end))
    meets = proper | on_line | on_line.T
    number = np.arange(count)
    apart = (number[:, None] - number[None]) % count
    # Neighbours share a corner; they overlap where one turns back on the other.
    back = ((end - start) * np.roll(end - start, -1, axis=0)).sum(axis=1) < 0
    flat = side_of(end)[number, (number + 1) % count] == 0
    for i in np.flatnonzero(back & flat):
        return int(i) + 1, int(i + 1) % count + 1
    found = np.argwhere(meets & (apart > 1) & (apart < count - 1))
    return None if len(found) == 0 else (int(found[0].min()) + 1, int(found[0].max()) + 1)


def pack(masked: Masked) -> str:
    """Masked pixels bool [height, width] as text: base64 of compressed bits, row by row."""
    return base64.b64encode(zlib.compress(np.packbits(masked).tobytes(), 9)).decode("ascii")


def unpack(text: str, size: tuple[int, int]) -> Masked:
    """The reverse of `pack` for a frame of a size (width, height). Raises ValueError."""
    count = size[0] * size[1]
    expected = -(-count // 8)
    try:
        inflating = zlib.decompressobj()
        data = inflating.decompress(base64.b64decode(text, validate=True), expected + 1)
    except (binascii.Error, zlib.error, ValueError):
        raise ValueError("its pixels are damaged") from None
    if len(data) != expected or not inflating.eof:
        raise ValueError(f"its pixels are not those of {size[0]} x {size[1]}")
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count)
    return bits.reshape(size[1], size[0]).view(np.bool_)


def shrink(masked: NDArray[np.uint8], height: int, width: int, enlarge: bool = False) -> NDArray[np.uint8]:
    """Masked pixels of an image after `cv2.resize`: of each pixel that depends on a masked one, uint8 0 or 1.

    `enlarge`: as if by areas where the image becomes larger, too, else by bilinear interpolation.
    """
    by_area = enlarge or (masked.shape[0] >= height and masked.shape[1] >= width)
    for axis, length in enumerate((height, width)):
        step = masked.shape[axis] / length
        place = np.arange(length)
        if by_area:
            first, last = np.floor(place * step + 1e-9), np.ceil((place + 1) * step - 1e-9)
        else:
            first = np.floor((place + 0.5) * step - 0.5)
            last = first + 2
        limits = np.stack([first, last], axis=1).clip(0, masked.shape[axis]).astype(np.int64)
        # A row of zeros at the end: `reduceat` wants an index of a row for each limit.
        padded = np.concatenate([masked, np.zeros_like(masked.take([0], axis))], axis)
        masked = np.maximum.reduceat(padded, limits.ravel(), axis).take(np.arange(length) * 2, axis)
    return masked


def touched_cells(masked: Masked, stride: int) -> Masked:
    """The cells of `stride` x `stride` pixels that a masked pixel touches: bool [H, W] to [H / stride, W / stride]."""
    height, width = (length // stride for length in masked.shape)
    blocks = masked[: height * stride, : width * stride].reshape(height, stride, width, stride)
    return np.asarray(blocks.any(axis=(1, 3)), np.bool_)


def read_mask(path: Path) -> Mask:
    """A mask from a JSON file, or from a PNG or another image whose black pixels are masked and white ones are not.

    Raises UsageError, which names the file, the area and what is wrong with it.
    """
    try:
        data = read_within(path, MAX_FILE_BYTES)
    except OSError as error:
        raise UsageError(f"{path}: the mask cannot be read ({error.strerror})") from None
    return parse_mask(data, str(path)) if data.lstrip()[:1] in (b"{", b"[") else _picture(data, path)


def parse_mask(data: bytes, name: str) -> Mask:
    """A mask from the content of a JSON file; `name` is the file's in errors. Raises UsageError."""
    right = 'right is {"size": [width, height], "ignore": [[[x, y], ...], ...]}, with "regions" beside it or instead'
    if len(data) > MAX_JSON_BYTES:
        raise UsageError(f"{name}: {len(data)} bytes, at most {MAX_JSON_BYTES} are right; draw fewer areas")
    try:
        fields: Any = json.loads(data)
        if not isinstance(fields, dict) or not {"regions", "ignore", "pixels"}.intersection(fields):
            raise UsageError(f"{name}: not a mask; {right}")
        for key in ("regions", "ignore"):
            if isinstance(fields.get(key), list) and len(fields[key]) > MAX_AREAS:
                raise UsageError(f"{name}: {len(fields[key])} polygons in {key}, at most {MAX_AREAS} are right")
        return Mask.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = " ".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{name}: {shown(f'{place}: {what}' if place else what, 200)}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{name}: not JSON; {right}") from None


def _picture(data: bytes, path: Path) -> Mask:
    try:
        values = decode_values(data, DecodingLimits(MAX_FRAME_PIXELS, 4 * MAX_FRAME_PIXELS))
    except ImageError as error:
        raise UsageError(f"{path}: neither a mask in JSON nor an image ({error})") from None
    grey = values.max(axis=2)
    white = int(grey.max())
    between = np.count_nonzero((grey > white // 10) & (grey < white - white // 10)) / grey.size
    if between > MAX_GREY_SHARE:
        raise UsageError(
            f"{path}: {between:.0%} of its pixels are neither black nor white; paint black what the model must not see"
        )
    masked = grey <= white // 2
    if not masked.any():
        raise UsageError(f"{path}: masks nothing; paint black what the model must not see, the rest white")
    packed = pack(masked)
    if len(packed) > MAX_PACKED_CHARS:
        raise UsageError(f"{path}: too many small areas for a mask ({len(packed)} characters packed); draw fewer")
    height, width = masked.shape
    try:
        return Mask(size=(width, height), pixels=packed)
    except ValidationError as error:
        raise UsageError(f"{path}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
