"""What every format comes to: an image, its labels, and the areas that were drawn on it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from andon_monitor.common.text import shown
from andon_monitor.errors import UsageError
from numpy.typing import NDArray

Pixels = NDArray[np.bool_]  # [height, width], true where there is a defect
Size = tuple[int, int]  # width and height in pixels, of the upright image

MAX_CORNERS = 100_000  # of one polygon
MAX_LABEL_CHARS = 200
# Coordinates beyond it are no slip of the mouse: those that are a little outside of the image are cut off.
MAX_COORDINATE = 1_000_000.0


@dataclass(frozen=True)
class Area:
    """A label, and what draws its pixels on an image of a given size; None for a label without pixels.

    `draw` raises UsageError where the area does not fit the image. `may_be_empty`: without pixels it says nothing.
    """

    label: str
    draw: Callable[[Size], Pixels] | None = None
    may_be_empty: bool = False


@dataclass(frozen=True)
class Marked:
    """An image as a file of annotations names it. No areas: nothing was marked on it.

    `place`: where in the file it stands, for messages. `size`: as the file says, None where it does not.
    """

    reference: str
    place: str
    areas: tuple[Area, ...]
    size: Size | None = None


def label_of(value: Any, place: str) -> str:
    """A label as a text. Raises UsageError."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_LABEL_CHARS:
        raise UsageError(f"{place}: label {shown(repr(value))} should be a text of up to {MAX_LABEL_CHARS} characters")
    return value.strip()


def number(value: Any, place: str) -> float:
    """A coordinate or a length as a float. Raises UsageError."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        result = math.nan
    if isinstance(value, bool) or not abs(result) <= MAX_COORDINATE:
        raise UsageError(f"{place}: {shown(repr(value))} should be a number of pixels")
    return result


def side(value: Any, place: str) -> int:
    """A width or height in whole pixels. Raises UsageError."""
    result = number(value, place)
    if not result.is_integer() or result < 1:
        raise UsageError(f"{place}: {shown(repr(value))} should be a width or height in pixels")
    return int(result)


def polygon(corners: Sequence[tuple[float, float]], place: str) -> Callable[[Size], Pixels]:
    """Draws the inside of a polygon, its border included. Raises UsageError for too few or too many corners."""
    if not 3 <= len(corners) <= MAX_CORNERS:
        raise UsageError(f"{place}: a polygon of {len(corners)} corners; right are 3 to {MAX_CORNERS}")

    def draw(size: Size) -> Pixels:
        width, height = size
        points = np.clip(np.asarray(corners, np.float64), 0, (width - 1, height - 1))
        canvas = np.zeros((height, width), np.uint8)
        cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 1)
        return canvas.astype(bool)

    return draw


def box(left: float, top: float, right: float, bottom: float, place: str) -> Callable[[Size], Pixels]:
    """Draws a box, every pixel that it touches. Raises UsageError for one without pixels."""
    if right <= left or bottom <= top:
        raise UsageError(f"{place}: a box from {left:g}, {top:g} to {right:g}, {bottom:g} has no pixels")

    def draw(size: Size) -> Pixels:
        width, height = size
        canvas = np.zeros((height, width), bool)
        rows = slice(max(math.floor(top), 0), max(math.ceil(bottom), 0))
        canvas[rows, max(math.floor(left), 0) : max(math.ceil(right), 0)] = True
        if not canvas.any():
            raise UsageError(f"{place}: a box outside of the image of {width} x {height} pixels")
        return canvas

    return draw


def turned_box(
    left: float, top: float, width: float, height: float, degrees: float, pivot: tuple[float, float], place: str
) -> Callable[[Size], Pixels]:
    """Draws a box that is turned clockwise around `pivot`."""
    if degrees == 0:
        return box(left, top, left + width, top + height, place)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
    moved = [(x - pivot[0], y - pivot[1]) for x, y in corners]
    turned = [(pivot[0] + x * cosine - y * sine, pivot[1] + x * sine + y * cosine) for x, y in moved]
    return polygon(turned, place)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, place: str) -> Callable[[Size], Pixels]:
    """Draws an ellipse, as a polygon of 64 corners."""
    angles = [2 * math.pi * step / 64 for step in range(64)]
    return polygon([(x + radius_x * math.cos(a), y + radius_y * math.sin(a)) for a in angles], place)
