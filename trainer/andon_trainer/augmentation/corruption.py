"""Corruption: good frames made defective on purpose, with the mask of what was changed, to train the error head.

No real defect is needed. Nine kinds of corruption, each with a size and a contrast drawn log-uniformly down to
barely visible, cover what happens to parts: material added, missing or moved, surfaces scratched, stained or dulled.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_trainer.augmentation.variation import (
    Image,
    Rng,
    Variation,
    degrade,
    log_uniform,
    to_float,
    to_levels,
    vary,
    with_channels,
)

Mask = NDArray[Any]  # float32 [H, W] in 0..1

CORRUPTED_SHARE = 0.6  # of the training frames; the rest stay as they are
MAX_CORRUPTIONS = 3  # to one frame
# A smaller change, in units of the grey scale, looks like sensor noise: trained on it, the head would learn false
# alarms. This holds for frames of usual roughness: on smooth ones less is visible, on rough ones more is needed.
MIN_CHANGE = 0.02
USUAL_ROUGHNESS = 0.025  # mean difference between neighbouring pixels, in units of the grey scale
ROUGHNESS_RANGE = (0.25, 2.5)  # multiples of the usual roughness by which contrasts are scaled
MAX_TRIES = 10  # to place a corruption where the model looks
BLUR_REACH = 4  # standard deviations of a Gaussian blur, beyond which it changes nothing


@dataclass(frozen=True)
class Corrupted:
    """The network's input, the frame that it should reconstruct, where the two differ, and the index of the image."""

    frame: Image
    clean: Image
    mask: Mask
    index: int


def training_frame(
    images: NDArray[np.uint8], index: int, rng: Rng, variation: Variation, masked: NDArray[np.bool_] | None = None
) -> Corrupted:
    """Frame `index` of `images` (uint8 [N, H, W, C]) under harmless changes, corrupted or not.

    `masked`: bool [H, W], pixels that the model does not look at, which are not corrupted.
    """
    clean = vary(to_float(images[index]), rng, variation)
    frame, mask = clean, np.zeros(clean.shape[:2], np.float32)
    if rng.random() < CORRUPTED_SHARE:
        frame, mask = corrupt(clean, to_float(images[rng.integers(len(images))]), rng, masked)
    if rng.random() < variation.degraded:
        frame = to_float(degrade(to_levels(frame), rng))
    return Corrupted(frame, clean, mask, index)


def corrupt(clean: Image, other: Image, rng: Rng, masked: NDArray[np.bool_] | None = None) -> tuple[Image, Mask]:
    """Apply one to three corruptions. `other` is any good frame to take texture from.

    `masked`: bool [H, W], pixels that stay as they are.

    Returns the corrupted frame and a mask of what visibly changed (all zero where nothing did).
    """
    frame = clean
    mask = np.zeros(clean.shape[:2], np.float32)
    min_change = MIN_CHANGE * relative_roughness(clean)
    count = 1 + int(rng.integers(MAX_CORRUPTIONS)) if rng.random() < 0.5 else 1
    for _ in range(count):
        candidate, region = _draw(frame, other, rng, masked)
        box = box_of(region, margin=2)
        changed = np.clip(candidate[box], 0, 1)
        if masked is not None:
            changed = np.where(masked[box][:, :, None], frame[box], changed)
        change = largest_difference(changed, frame[box])
        # Judge the change by its strongest tenth inside the region: blur changes edges only.
        inside = change[region[box] > 0.3]
        if inside.size < 3 or np.partition(inside, -max(1, inside.size // 10))[-max(1, inside.size // 10)] < min_change:
            continue
        visible = cv2.dilate(change, np.ones((5, 5), np.uint8)) > min_change / 2
        mask[box] = np.maximum(mask[box], np.where(visible, np.minimum(region[box], 1), 0))
        frame = frame.copy()
        frame[box] = changed
    return frame, mask


def _draw(frame: Image, other: Image, rng: Rng, masked: NDArray[np.bool_] | None) -> tuple[Image, Mask]:
    """A corruption of any kind and its region, which is where the model looks."""
    for _ in range(MAX_TRIES):
        candidate, region = KINDS[rng.integers(len(KINDS))](frame, other, rng)
        if masked is None:
            break
        region = np.where(masked, np.float32(0), region)
        if (region > 0.3).any():
            break
    return candidate, region


# -- the kinds: each takes the frame, another good frame and the generator, and returns the changed frame and its region


def foreign_texture(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """Patches of thresholded noise filled with another texture, more or less transparent (DRAEM)."""
    region = noise_region(frame.shape[:2], rng)
    height, width = frame.shape[:2]
    texture = np.roll(other, (int(rng.integers(height)), int(rng.integers(width))), axis=(0, 1))
    if rng.random() < 0.5:
        texture = texture[::-1, ::-1]
    if rng.random() < 0.5:  # the same texture, coarser or finer
        zoom = float(rng.uniform(0.3, 3))
        enough = texture[: math.ceil(height / zoom) + 1, : math.ceil(width / zoom) + 1]
        texture = with_channels(cv2.resize(enough, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR))
        texture = np.resize(texture, frame.shape) if min(texture.shape[:2]) < 2 else _tile(texture, height, width)
    texture = (texture - texture.mean()) * np.float32(rng.uniform(0.3, 2)) + _colour(frame, rng)
    return _blend(frame, texture, region * np.float32(log_uniform(0.15, 1, rng))), region


def cut_paste(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """A rectangle or a long scar of the same part at another place, turned (Li et al., "CutPaste", CVPR 2021)."""
    height, width = frame.shape[:2]
    long = log_uniform(0.03, 0.35, rng) * max(height, width)
    short = long / log_uniform(1, 12, rng)
    region = np.zeros((height, width), np.float32)
    centre = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
    corners = cv2.boxPoints((centre, (max(long, 2), max(short, 2)), float(rng.uniform(0, 180))))
    _fill(region, corners)
    region = _soften(region, rng)
    source = frame if rng.random() < 0.7 else other
    turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-180, 180)), 1.0)
    turn[:, 2] += rng.uniform(-0.5, 0.5, 2) * np.array([width, height])
    moved = with_channels(cv2.warpAffine(source, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101))
    moved = moved * np.float32(rng.uniform(0.8, 1.2))
    return _blend(frame, moved, region), region


def erase(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """A missing detail: a blob filled with its surroundings, as if the hole or the print were not there."""
    height, width = frame.shape[:2]
    region, radius = blob_region((height, width), rng, 0.03, 0.25, at=_detail(frame, rng))
    angle = rng.uniform(0, 2 * np.pi)
    shift = (2.2 * radius * np.array([np.cos(angle), np.sin(angle)])).astype(int)
    surroundings = np.roll(frame, tuple(shift), axis=(0, 1))
    return _blend(frame, surroundings, region), region


def stain(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """An irregular patch darker, lighter or of another tint, with its texture still visible."""
    region = (
        noise_region(frame.shape[:2], rng) if rng.random() < 0.4 else blob_region(frame.shape[:2], rng, 0.02, 0.3)[0]
    )
    strength = np.float32(log_uniform(0.05 * relative_roughness(frame), 0.6, rng))
    target = _colour(frame, rng)
    return _blend(frame, np.broadcast_to(target, frame.shape), region * strength), region


def spots(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """One to four small round marks, such as pits or dust, dark or bright."""
    region = np.zeros(frame.shape[:2], np.float32)
    for _ in range(1 + int(rng.integers(4)) if rng.random() < 0.3 else 1):
        region = np.maximum(region, blob_region(frame.shape[:2], rng, 0.006, 0.05)[0])
    step = np.float32(_sign(rng) * log_uniform(0.06 * relative_roughness(frame), 0.7, rng))
    tint = np.float32(rng.uniform(0.7, 1.0, frame.shape[2])) if rng.random() < 0.5 else np.float32(1)
    return _add(frame, region, step * tint), region


def scratch(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """A winding line, from a hairline to a gouge, dark or bright, sometimes with a burr of the opposite sign."""
    height, width = frame.shape[:2]
    length = log_uniform(0.05, 0.8, rng) * max(height, width)
    steps = max(3, int(length / 4))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, log_uniform(0.01, 0.5, rng), steps))
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * (length / steps), axis=0)
    start = rng.uniform(0, 1, 2) * (width, height)
    points = path - path.mean(axis=0) + start
    thickness = log_uniform(0.6, 4, rng)
    region = np.zeros((height, width), np.float32)
    cv2.polylines(region, [_fixed(points)], False, 1.0, max(1, round(thickness)), cv2.LINE_AA, shift=4)
    if thickness < 1:
        region *= np.float32(thickness)
    step = np.float32(_sign(rng) * log_uniform(0.06 * relative_roughness(frame), 0.7, rng))
    changed = _add(frame, region, step)
    if rng.random() < 0.4:
        changed = _add(changed, np.roll(region, (1, 1), axis=(0, 1)), -step * np.float32(0.6))
    return changed, np.minimum(cv2.dilate(region, np.ones((3, 3), np.uint8)) * 1.5, 1)


def bite(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """Material missing or added at an edge: a blob on the outline gets the colour of one of its sides."""
    height, width = frame.shape[:2]
    place = _detail(frame, rng)
    region, radius = blob_region((height, width), rng, 0.015, 0.15, at=place)
    angle = rng.uniform(0, 2 * np.pi)
    x = int(np.clip(place[0] + 1.5 * radius * np.cos(angle), 0, width - 1))
    y = int(np.clip(place[1] + 1.5 * radius * np.sin(angle), 0, height - 1))
    colour = frame[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean(axis=(0, 1))
    box = box_of(region)
    paint = np.broadcast_to(colour, frame.shape).copy()
    paint[box] += rng.standard_normal(paint[box].shape, np.float32) * np.float32(0.02)
    return _blend(frame, paint, region), region


def finish(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """A larger area with another finish: brighter, darker, duller, rougher or blurred."""
    region, _ = blob_region(frame.shape[:2], rng, 0.08, 0.45)
    edge, blur = float(rng.uniform(1, 0.04 * max(frame.shape[:2]))), float(rng.uniform(1.5, 5))
    box = box_of(region, margin=math.ceil(BLUR_REACH * max(edge, blur)))
    region[box] = cv2.GaussianBlur(region[box], (0, 0), edge)
    paint = frame.copy()
    here = frame[box]
    choice = rng.integers(3)
    if choice == 0:
        paint[box] = here * np.float32(1 + _sign(rng) * log_uniform(0.06 * relative_roughness(frame), 0.5, rng))
        return _blend(frame, paint, region), region
    smooth = with_channels(cv2.GaussianBlur(here, (0, 0), blur))
    rougher = np.float32(log_uniform(1.6, 4, rng)) if choice == 2 else np.float32(0)
    paint[box] = smooth + (here - smooth) * rougher
    return _blend(frame, paint, region), region


def bump(frame: Image, other: Image, rng: Rng) -> tuple[Image, Mask]:
    """A dent or a bump: one side of a blob brighter, the other darker, and the texture pulled along."""
    region, radius = blob_region(frame.shape[:2], rng, 0.02, 0.18)
    blur = max(0.8, 0.35 * radius)
    box = box_of(region, margin=math.ceil(BLUR_REACH * blur))
    relief = cv2.GaussianBlur(region[box], (0, 0), blur)
    slope_y, slope_x = np.gradient(relief)
    angle = rng.uniform(0, 2 * np.pi)
    shade = slope_x * np.cos(angle) + slope_y * np.sin(angle)
    shade = shade / max(float(np.abs(shade).max()), 1e-6)
    y, x = np.mgrid[box].astype(np.float32)
    pull = np.float32(rng.uniform(-6, 6) * radius / 4)
    warped = cv2.remap(
        frame, x + slope_x * pull, y + slope_y * pull, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    step = np.float32(_sign(rng) * log_uniform(0.05 * relative_roughness(frame), 0.4, rng))
    changed = frame.copy()
    changed[box] = with_channels(warped) + (shade * step).astype(np.float32)[:, :, None]
    region = np.zeros_like(region)
    region[box] = np.minimum(np.abs(shade) * 2, 1)
    return changed, region


Kind = Callable[[Image, Image, Rng], tuple[Image, Mask]]
KINDS: tuple[Kind, ...] = (foreign_texture, cut_paste, erase, stain, spots, scratch, bite, finish, bump)


# -- regions


def noise_region(shape: tuple[int, int], rng: Rng) -> Mask:
    """Islands of smooth noise above a high threshold, with soft edges."""
    height, width = shape
    cells = 2 ** rng.integers(1, 6, 2)
    coarse = rng.standard_normal((int(cells[0]) + 2, int(cells[1]) + 2)).astype(np.float32)
    noise = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    window, _ = blob_region(shape, rng, 0.1, 0.4)
    level = float(np.quantile(noise[::4, ::4], rng.uniform(0.5, 0.95)))
    return np.clip((noise - level) * 4, 0, 1).astype(np.float32) * window


def blob_region(
    shape: tuple[int, int], rng: Rng, low: float, high: float, at: tuple[float, float] | None = None
) -> tuple[Mask, float]:
    """An irregular ellipse with soft edges, its radius between `low` and `high` of the frame's side, log-uniform.

    `at` is (x, y) in pixels, anywhere by default. Returns the mask and the mean radius in pixels.
    """
    height, width = shape
    radius = max(0.8, 0.5 * log_uniform(2 * low, 2 * high, rng) * max(height, width))
    stretch = log_uniform(1, 2.5, rng) ** 0.5
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    waves = [rng.normal(0, 0.25 / order) * np.cos(order * angles + rng.uniform(0, 6.3)) for order in (2, 3, 5)]
    wobble = np.maximum(1 + np.sum(waves, axis=0), 0.3)
    outline = np.stack([np.cos(angles) * stretch, np.sin(angles) / stretch], axis=1) * (radius * wobble)[:, None]
    turn = rng.uniform(0, np.pi)
    outline = outline @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.array(at if at is not None else (rng.uniform(0, width), rng.uniform(0, height)))
    region = np.zeros(shape, np.float32)
    _fill(region, outline + centre)
    return _soften(region, rng), radius


def box_of(region: Mask, margin: int = 0) -> tuple[slice, slice]:
    """The rows and columns that a region covers, and `margin` pixels around it.

    Most changes are small, so work outside of them is saved.
    """
    left, top, width, height = cv2.boundingRect((region > 0).view(np.uint8))
    bottom, right = (
        min(end + margin, side) for end, side in zip((top + height, left + width), region.shape, strict=True)
    )
    return slice(max(top - margin, 0), bottom), slice(max(left - margin, 0), right)


def relative_roughness(frame: Image) -> float:
    """How rough a frame is as a multiple of the usual roughness, within `ROUGHNESS_RANGE`."""
    step = float(cv2.absdiff(frame[:, 1:], frame[:, :-1]).mean())
    return float(np.clip(step / USUAL_ROUGHNESS, *ROUGHNESS_RANGE))


def largest_difference(a: Image, b: Image) -> Mask:
    """The largest difference over the channels at each pixel; NumPy is ten times slower over such a short axis."""
    channels = cv2.split(cv2.absdiff(a, b))
    return functools.reduce(cv2.max, channels)


def _detail(frame: Image, rng: Rng) -> tuple[float, float]:
    """A place (x, y) where the frame has structure: the steepest of a few random ones."""
    height, width = frame.shape[:2]
    xs = rng.integers(1, width - 1, 24)
    ys = rng.integers(1, height - 1, 24)
    slopes = np.abs(frame[ys, xs + 1] - frame[ys, xs - 1]) + np.abs(frame[ys + 1, xs] - frame[ys - 1, xs])
    steepness = slopes.mean(axis=1)
    best = int(steepness.argmax())
    return float(xs[best]), float(ys[best])


def _colour(frame: Image, rng: Rng) -> Image:
    """A colour to paint with, float32 [C]: one from the frame, a grey, or anything."""
    choice = rng.random()
    if choice < 0.4:
        height, width = frame.shape[:2]
        return frame[rng.integers(height), rng.integers(width)]
    if choice < 0.7:
        return np.full(frame.shape[2], rng.uniform(0, 1), np.float32)
    return np.asarray(rng.uniform(0, 1, frame.shape[2]), np.float32)


def _sign(rng: Rng) -> float:
    # Real marks are more often dark than bright: there are more pits, dirt and shadows than glints.
    return -1.0 if rng.random() < 0.6 else 1.0


def _blend(frame: Image, paint: Image, region: Mask) -> Image:
    box = box_of(region)
    weight = region[box][:, :, None]
    blended = frame.copy()
    blended[box] = frame[box] * (1 - weight) + paint[box].astype(np.float32) * weight
    return blended


def _add(frame: Image, region: Mask, step: Any) -> Image:
    """A step, one number or float32 [C], on a region."""
    box = box_of(region)
    changed = frame.copy()
    changed[box] += region[box][:, :, None] * step
    return changed


def _soften(region: Mask, rng: Rng) -> Mask:
    return cv2.GaussianBlur(region, (0, 0), float(rng.uniform(0.5, 2.5))) if rng.random() < 0.6 else region


def _fill(region: Mask, outline: NDArray[Any]) -> None:
    cv2.fillPoly(region, [_fixed(outline)], 1.0, cv2.LINE_AA, shift=4)


def _fixed(points: NDArray[Any]) -> NDArray[np.int32]:
    """Pixel coordinates as OpenCV's fixed-point numbers with four fractional bits."""
    return np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)


def _tile(texture: Image, height: int, width: int) -> Image:
    repeats = (-(-height // texture.shape[0]), -(-width // texture.shape[1]), 1)
    return np.tile(texture, repeats)[:height, :width]
