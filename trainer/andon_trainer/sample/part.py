"""One good part: its machining marks, and its brightness under the lamp.

Brightness depends on the slope: a small table (a matcap) holds the brightness of every slope under the lamp, and a
coarse field holds the reflection of machined metal, whose grooves all have one direction, over the plate.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from andon_trainer.sample.geometry import (
    CANVAS,
    IMAGE_SIZE,
    SCALE,
    Array,
    Surface,
    blank,
    circle,
    f32,
    grid,
    inside,
    pocket,
)
from andon_trainer.sample.products import Face

# Radius of the arcs that the face mill leaves, in part pixels.
MILL_RADIUS = 330.0
FEED = 6.5  # part pixels from one arc to the next
TABLE_SIZE = 96  # slopes per axis in the shading table
MAX_SLOPE = 2.4  # steeper ones have about the same brightness
REFLECTION_SAMPLES = 96  # per axis; reflection and brightness change slowly over the plate


@dataclass(frozen=True)
class Light:
    """The lamp: its direction from the part (azimuth and elevation in radians) and its distance in part pixels."""

    azimuth: float
    elevation: float
    distance: float

    def position(self) -> tuple[float, float, float]:
        """Position of the lamp in part coordinates."""
        flat = np.cos(self.elevation) * self.distance
        return (
            float(np.cos(self.azimuth) * flat),
            float(np.sin(self.azimuth) * flat),
            float(np.sin(self.elevation) * self.distance),
        )


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the lamp over the station, at the upper left and slightly different for each part."""
    return Light(
        azimuth=np.deg2rad(-128 + rng.normal(0, 3.0)),
        elevation=np.deg2rad(50 + rng.normal(0, 1.5)),
        distance=760 * float(np.exp(rng.normal(0, 0.04))),
    )


@lru_cache(maxsize=4)
def boss_share(face: Face) -> Array:
    """1 on the turned boss, 0 on the milled plate, float32 (CANVAS, CANVAS)."""
    return inside(circle(0, 0, face.boss_radius - 4))


@lru_cache(maxsize=4)
def groove_maps(face: Face) -> tuple[Array, Array]:
    """For every canvas sample, its column and row in the strip of machining marks.

    Rows count across the grooves in canvas samples, columns along them. Plate, boss and pocket use different rows, so
    their marks are independent.
    """
    x, y = grid()
    reach = np.sqrt(MILL_RADIUS**2 - (y + 25) ** 2)
    across = (reach - x) * SCALE
    across = across - across.min()
    along = np.arcsin((y + 25) / MILL_RADIUS) * MILL_RADIUS / 9
    radius = np.hypot(x, y)
    on_boss = boss_share(face) > 0.5
    across = np.where(on_boss, 900 + radius * SCALE, across)
    along = np.where(on_boss, (np.arctan2(y, x) / np.pi + 1) * 32, along)
    slot = pocket(face)
    in_pocket = slot < -1.5
    across = np.where(in_pocket, 1060 + slot * SCALE, across)
    along = np.where(in_pocket, y / 5, along)
    return f32(np.mod(along, 64)), f32(np.mod(across, 1100))


def draw_finish(rng: np.random.Generator, face: Face) -> Array:
    """The machining marks of one part, around 0, float32 (CANVAS, CANVAS)."""
    rows, columns = 1100, 64
    fine = rng.standard_normal((rows, columns), dtype=np.float32)
    streaks = f32(
        cv2.resize(rng.standard_normal((rows, 9), dtype=np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    )
    whole = rng.standard_normal((rows, 1), dtype=np.float32)
    # The distance between feed marks varies a little.
    phase = np.cumsum(1 + rng.normal(0, 0.12, rows)) * (2 * np.pi / (FEED * SCALE))
    feed = f32(np.maximum(np.sin(phase), -0.3))[:, None]
    strip = 0.05 * fine + 0.065 * streaks + 0.045 * whole + 0.06 * feed
    strip = cv2.GaussianBlur(strip, (1, 3), 0.6)
    along, across = groove_maps(face)
    return f32(cv2.remap(strip, along, across, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))


def draw_part(rng: np.random.Generator, face: Face) -> Surface:
    """Draw a good part."""
    base = blank(face)
    finish = draw_finish(rng, face)
    cloud = f32(
        cv2.resize(rng.standard_normal((9, 9), dtype=np.float32), (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC)
    )
    return replace(base, albedo=base.albedo * (1 + 0.016 * cloud), finish=finish)


def slope_table(light: Light) -> Array:
    """Brightness of metal by slope, relative to level metal, float32 (TABLE_SIZE, TABLE_SIZE) over (dz/dy, dz/dx)."""
    axis = np.linspace(-MAX_SLOPE, MAX_SLOPE, TABLE_SIZE)
    sx, sy = np.meshgrid(axis, axis)
    to_light = np.array(light.position()) / light.distance
    # Light from a window on the opposite side.
    to_window = np.array([-to_light[0], -to_light[1], 0.9])
    to_window /= np.linalg.norm(to_window)

    def brightness(sx: Any, sy: Any) -> Any:
        nz = 1 / np.sqrt(1 + sx**2 + sy**2)
        nx, ny = -sx * nz, -sy * nz
        mirrored = np.stack(np.broadcast_arrays(2 * nx * nz, 2 * ny * nz, 2 * nz**2 - 1), -1)
        lambert = np.maximum(nx * to_light[0] + ny * to_light[1] + nz * to_light[2], 0)
        lamp = np.exp(7.0 * (mirrored @ to_light - 1))
        window = np.exp(4.0 * (mirrored @ to_window - 1))
        hall = 0.16 + 0.14 * np.maximum(mirrored[..., 2], 0)
        return hall + 0.45 * lambert + 2.6 * lamp + 0.22 * window

    return f32(brightness(sx, sy) / brightness(0.0, 0.0))


def reflection(light: Light, tangent_x: Array, tangent_y: Array, x: Array, y: Array) -> Array:
    """Reflection of a lamp by grooved metal: bright where grooves are square to the half vector (Ward 1992)."""
    lx, ly, lz = light.position()
    to_light = np.stack([lx - x, ly - y, np.full_like(x, lz)])
    to_eye = np.stack([-x, -y, np.full_like(x, 900.0)])
    distance = np.linalg.norm(to_light, axis=0)
    half = to_light / distance + to_eye / np.linalg.norm(to_eye, axis=0)
    half /= np.linalg.norm(half, axis=0)
    along = half[0] * tangent_x + half[1] * tangent_y
    across = half[0] * -tangent_y + half[1] * tangent_x
    lobe = np.exp(-((along / 0.17) ** 2) - (across / 0.5) ** 2)
    falloff = (light.distance / distance) ** 2
    return f32((0.21 + 0.58 * lobe) * falloff)


def level_brightness(light: Light, face: Face) -> Array:
    """Brightness of level, clean metal over the part, in linear light: float32 [CANVAS, CANVAS]."""
    axis = f32((np.arange(REFLECTION_SAMPLES) + 0.5) * IMAGE_SIZE / REFLECTION_SAMPLES - IMAGE_SIZE / 2)
    x, y = np.meshgrid(axis, axis)
    radius = np.maximum(np.hypot(x, y), 1)
    turned = reflection(light, f32(-y / radius), f32(x / radius), x, y)
    reach = np.sqrt(MILL_RADIUS**2 - (y + 25) ** 2)
    milled = reflection(light, f32((y + 25) / MILL_RADIUS), f32(reach / MILL_RADIUS), x, y)
    size = (CANVAS, CANVAS)
    plate = f32(cv2.resize(milled, size, interpolation=cv2.INTER_LINEAR))
    boss = f32(cv2.resize(turned, size, interpolation=cv2.INTER_LINEAR))
    return f32(plate + boss_share(face) * (boss - plate))


def cast_shadow(height: Array, light: Light) -> Array:
    """The share of light, 0..1, that the part's own shadow and narrow corners leave: float32 [CANVAS, CANVAS]."""
    small = f32(cv2.resize(height, (CANVAS // 2, CANVAS // 2), interpolation=cv2.INTER_AREA))
    step = 1.0  # samples of the small field
    rise = step / (SCALE / 2) * np.tan(light.elevation)
    hidden = np.zeros_like(small)
    for count in range(1, 9):
        dx, dy = np.cos(light.azimuth) * step * count, np.sin(light.azimuth) * step * count
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        towards_lamp = cv2.warpAffine(
            small,
            shift,
            small.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        np.maximum(hidden, towards_lamp - small - np.float32(rise * count), out=hidden)
    corner = np.clip(cv2.GaussianBlur(small, (0, 0), 3.0) - small, 0, 6)
    shade = (1 - 0.62 * np.clip(hidden / 1.6, 0, 1)) * (1 - 0.045 * corner)
    shade = cv2.GaussianBlur(shade, (0, 0), 0.8)
    return f32(cv2.resize(shade, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR))


def shade(surface: Surface, light: Light) -> Array:
    """The part's radiance in linear light (1 is about white), float32 (CANVAS, CANVAS)."""
    scale = SCALE / 8  # the weights of the Sobel filter sum to 8
    steepness = (TABLE_SIZE - 1) / (2 * MAX_SLOPE)
    middle = (TABLE_SIZE - 1) / 2
    column = f32(cv2.Sobel(surface.height, cv2.CV_32F, 1, 0, scale=scale * steepness, delta=middle))
    row = f32(cv2.Sobel(surface.height, cv2.CV_32F, 0, 1, scale=scale * steepness, delta=middle))
    bright = f32(cv2.remap(slope_table(light), column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    bright *= level_brightness(light, surface.face)
    bright *= surface.albedo
    bright *= 1 + surface.finish
    bright *= cast_shadow(surface.height, light)
    return bright
