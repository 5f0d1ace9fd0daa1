"""Parts of defects: irregular outlines, lines, noise, and free places on the part.

All fields are float32 [CANVAS, CANVAS]; lengths are in part pixels.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_trainer.sample.geometry import (
    CANVAS,
    SCALE,
    Array,
    canvas_point,
    circle,
    f32,
    grid,
    pocket,
    rounded_box,
)
from andon_trainer.sample.products import Face

LINE_OVERSAMPLING = 2  # lines are drawn this many times finer than the canvas


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A random number between `low` and `high`, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@lru_cache(maxsize=4)
def clearance(face: Face) -> Array:
    """Distance (part pixels) from every canvas sample to the nearest edge, shoulder, hole or pocket."""
    free = rounded_box(face.half, face.corner) < -5
    free &= (np.abs(circle(0, 0, face.boss_radius)) > 5) & (pocket(face) > 2)
    for hole in (*face.holes, face.bore):
        free &= circle(hole.x, hole.y, hole.radius + hole.chamfer) > 1
    distance = f32(cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, 5))
    return f32(distance / np.float32(SCALE))


def free_point(rng: np.random.Generator, face: Face, room: float) -> tuple[float, float]:
    """A random point of the plate or the boss with `room` part pixels (at most 12) of level metal around it."""
    rows, columns = np.nonzero(clearance(face) > min(room, 12.0))
    pick = int(rng.integers(len(rows)))
    x, y = grid()
    return float(x[rows[pick], columns[pick]]), float(y[rows[pick], columns[pick]])


def blob(rng: np.random.Generator, x: float, y: float, radius: float, ragged: float, stretch: float = 1.0) -> Array:
    """Approximate signed distance to an irregular outline around (x, y), in part pixels, negative inside."""
    gx, gy = grid()
    turn = rng.uniform(0, np.pi)
    dx, dy = gx - np.float32(x), gy - np.float32(y)
    u = (dx * np.float32(np.cos(turn)) + dy * np.float32(np.sin(turn))) / np.float32(stretch)
    v = (dy * np.float32(np.cos(turn)) - dx * np.float32(np.sin(turn))) * np.float32(stretch)
    distance, angle = cv2.cartToPolar(u, v)
    orders = np.arange(2, 10)
    weights = ragged * rng.normal(0, 1, len(orders)) / orders**0.8
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    steps = np.linspace(0, 2 * np.pi, 257)
    outline = radius * (1 + (weights * np.cos(steps[:, None] * orders + phases)).sum(1)).clip(0.35, 1.8)
    index = (angle * np.float32(256 / (2 * np.pi))).astype(np.int32).clip(0, 256)
    return f32(distance - f32(outline)[index])


def noise(rng: np.random.Generator, cell: float) -> Array:
    """Smooth noise with unit variance at grid points `cell` part pixels apart: float32 [CANVAS, CANVAS]."""
    count = int(CANVAS / (cell * SCALE)) + 2
    return f32(
        cv2.resize(
            rng.standard_normal((count, count), dtype=np.float32), (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC
        )
    )


def stroke(points: NDArray[np.float64], width: float, strength: NDArray[np.float64]) -> Array:
    """A line of 0..1 through `points` [N, 2] in part pixels, with a `strength` [N - 1] of 0..1 along it."""
    picture = np.zeros((CANVAS * LINE_OVERSAMPLING, CANVAS * LINE_OVERSAMPLING), np.uint8)
    shift = 4
    placed = ((np.stack(canvas_point(*points.T), 1) + 0.5) * LINE_OVERSAMPLING - 0.5) * 2**shift
    corners = placed.round().astype(int).tolist()
    thickness = max(1, round(width * SCALE * LINE_OVERSAMPLING))
    for start, end, level in zip(corners[:-1], corners[1:], strength, strict=True):
        cv2.line(picture, start, end, round(255 * level), thickness, cv2.LINE_AA, shift)
    small = f32(cv2.resize(picture, (CANVAS, CANVAS), interpolation=cv2.INTER_AREA))
    return f32(small / np.float32(255))
