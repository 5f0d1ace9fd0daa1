"""The shape of a part: a milled plate with a turned disc, a bore, holes, a pocket and an engraved number.

Lengths are in part pixels: one part pixel is one pixel of the finished image. x points right, y down, and z towards
the camera; the origin is the centre of the plate's top face. Arrays cover the *canvas*, which has `SCALE` samples per
part pixel.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_trainer.sample.products import Face, Hole

Array = NDArray[np.float32]

IMAGE_SIZE = 384
# Finer than the image, so that bevels and scratches of one pixel keep their shape when the part is turned.
SCALE = 1.5
CANVAS = int(IMAGE_SIZE * SCALE)

PLATE_CHAMFER = 4.0
BEVEL_SLOPE = 0.6  # flatter than 45 degrees, as after deburring with a file; it reflects the lamp
# The far end of a hole appears smaller and nearer to the centre: plate thickness divided by camera distance.
FAR_END = 0.965
# Below this depth holes are dark anyway, and steeper walls would cause aliasing.
MAX_DEPTH = -26.0


@dataclass(frozen=True)
class Surface:
    """The surface of a part with this `face`, sampled on the canvas; all four fields are float32 [CANVAS, CANVAS].

    `height` in part pixels above the plate's top face, `albedo` relative to clean metal, `coverage` from 0 (the
    conveyor shows) to 1 (metal), `finish` the brightness of the machining marks around 0.
    """

    face: Face
    height: Array
    albedo: Array
    coverage: Array
    finish: Array


def f32(values: Any) -> Array:
    """`values` as float32, copied only if needed. Scalars of numpy would otherwise turn whole fields into float64."""
    return np.asarray(values, np.float32)


@lru_cache(maxsize=1)
def grid() -> tuple[Array, Array]:
    """Part coordinates x, y of every canvas sample, float32 [CANVAS, CANVAS] each."""
    axis = f32((np.arange(CANVAS) + 0.5) / SCALE - IMAGE_SIZE / 2)
    x, y = np.meshgrid(axis, axis)
    return x, y


def canvas_point(x: float, y: float) -> tuple[float, float]:
    """The canvas column and row (fractional) of a point in part coordinates."""
    return (x + IMAGE_SIZE / 2) * SCALE - 0.5, (y + IMAGE_SIZE / 2) * SCALE - 0.5


def inside(distance: Array) -> Array:
    """Anti-aliased membership (0..1) of a shape from its signed distance in part pixels (negative inside)."""
    return f32(np.clip(0.5 - distance * SCALE, 0, 1))


def rounded_box(half: tuple[float, float], corner: float) -> Array:
    """Signed distance to a rounded rectangle around the origin (Quilez, iquilezles.org/articles/distfunctions2d)."""
    x, y = grid()
    qx = np.abs(x) - np.float32(half[0] - corner)
    qy = np.abs(y) - np.float32(half[1] - corner)
    outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
    return f32(outside + np.minimum(np.maximum(qx, qy), 0) - corner)


def circle(x: float, y: float, radius: float) -> Array:
    """Signed distance to a circle."""
    gx, gy = grid()
    return f32(np.hypot(gx - np.float32(x), gy - np.float32(y)) - np.float32(radius))


def pocket(face: Face) -> Array:
    """Signed distance to the milled pocket; far away everywhere where the face has none."""
    x, y = grid()
    slot = face.pocket
    if slot is None:
        return np.full((CANVAS, CANVAS), IMAGE_SIZE, np.float32)
    dx = x - np.float32(slot.x)
    dy = np.maximum(np.abs(y - np.float32(slot.y)) - np.float32(slot.half_length), 0)
    return f32(np.hypot(dx, dy) - np.float32(slot.radius))


def number_strokes(face: Face) -> Array:
    """The strokes of the engraved number, 0..1, drawn four times finer than the canvas and averaged."""
    strokes = np.zeros((CANVAS, CANVAS), np.float32)
    if face.engraving is None:
        return strokes
    fine = 4
    picture = np.zeros((int(40 * SCALE) * fine, int(80 * SCALE) * fine), np.uint8)
    font, size, stroke = cv2.FONT_HERSHEY_SIMPLEX, 0.72 * SCALE * fine, round(1.7 * SCALE * fine)
    text = face.engraving.text
    (width, height), _ = cv2.getTextSize(text, font, size, stroke)
    origin = ((picture.shape[1] - width) // 2, (picture.shape[0] + height) // 2)
    cv2.putText(picture, text, origin, font, size, 255, stroke, cv2.LINE_AA)
    small = cv2.resize(picture, None, fx=1 / fine, fy=1 / fine, interpolation=cv2.INTER_AREA)
    column, row = (round(value) for value in canvas_point(face.engraving.x, face.engraving.y))
    top, left = row - small.shape[0] // 2, column - small.shape[1] // 2
    strokes[top : top + small.shape[0], left : left + small.shape[1]] = f32(small) / 255
    return strokes


def drill(surface: Surface, hole: Hole) -> Surface:
    """`surface` with `hole` drilled through it: countersink, wall in perspective, and open far end."""
    rim = circle(hole.x, hole.y, hole.radius)
    far = circle(hole.x * FAR_END, hole.y * FAR_END, hole.radius * FAR_END)
    countersink = -np.clip(hole.chamfer - rim, 0, hole.chamfer)
    wall = 3.0 * np.minimum(rim, 0)
    height = np.maximum(surface.height + countersink + wall, MAX_DEPTH)
    return Surface(
        surface.face,
        height,
        # The wall gets half of the ambient light and has oil from the drill on it.
        surface.albedo * (1 - 0.55 * inside(rim)),
        surface.coverage * (1 - inside(np.maximum(far, rim + 0.6))),
        surface.finish,
    )


@lru_cache(maxsize=32)
def blank(face: Face, skip: int | None = None) -> Surface:
    """The part without machining marks; `skip` is the index in `face.holes` of a hole to leave out.

    The arrays are shared by all parts: do not write to them.
    """
    edge = rounded_box(face.half, face.corner)
    boss = circle(0, 0, face.boss_radius)
    slot = pocket(face)
    # The chamfer continues beyond the edge, where coverage hides it, so that the slope at the edge is exact.
    height = -BEVEL_SLOPE * np.clip(edge + PLATE_CHAMFER, 0, 3 * PLATE_CHAMFER)
    # The steep side of the boss, with a bevelled rim; a recess is a boss upside down.
    step = np.clip(-boss * 2.0, 0, abs(face.boss_height) - 2) + np.clip(-boss - 1.5, 0, 3.5) * (2 / 3.5)
    height = height + step if face.boss_height > 0 else height - step
    strokes = number_strokes(face)
    if face.pocket is not None:
        height = height - np.clip(-slot * 3.0, 0, face.pocket.depth) - np.clip(1.2 - np.abs(slot), 0, 1.2) * 0.5
    height = height - 1.3 * strokes
    albedo = 1 - 0.22 * inside(slot) - 0.4 * strokes
    surface = Surface(face, f32(height), f32(albedo), inside(edge), np.zeros((CANVAS, CANVAS), np.float32))
    for index, hole in enumerate((*face.holes, face.bore)):
        if index != skip:
            surface = drill(surface, hole)
    # Real edges are slightly rounded.
    rounded = f32(cv2.GaussianBlur(surface.height, (0, 0), 0.55 * SCALE))
    return replace(surface, height=rounded)
