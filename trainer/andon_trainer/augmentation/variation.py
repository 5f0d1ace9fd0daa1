"""Harmless changes to good frames: moved, lit or photographed differently, as other good parts may be."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

Image = NDArray[Any]  # float32 [H, W, C] in 0..1
Rng = np.random.Generator

# Ranges that `degrade` draws from, log-uniformly, at the size that the network sees.
BLUR = (0.3, 1.0)  # pixels, one standard deviation
NOISE = (0.75, 7.5)  # grey levels, one standard deviation
JPEG_QUALITY = (40, 95)
EXPOSURE = (0.75, 1.3)  # times as much light; pixels that become too bright are white


@dataclass(frozen=True)
class Variation:
    """Which harmless changes are made to good frames: how much they are moved and lit, and how many are degraded.

    `moved` and `lit` are multiples of what `vary` does by default.
    """

    moved: float = 1.0
    lit: float = 1.0
    mirrored: bool = False  # left and right, every second frame
    flipped: bool = False  # upside down, every second frame
    degraded: float = 0.0  # share of the frames


def to_float(image: NDArray[np.uint8]) -> Image:
    """uint8 to float32 in 0..1."""
    return image.astype(np.float32) / 255


def to_levels(image: Image) -> Pixels:
    """The reverse of `to_float`."""
    return (image * 255).round().astype(np.uint8)


def vary(image: Image, rng: Rng, variation: Variation = Variation()) -> Image:
    """Turn by up to 2 degrees, shift by 2 %, scale by 3 % and change the light by 15 %, as `variation` scales them.

    `image`: float32 [H, W, C] in 0..1; so is the result.
    """
    height, width = image.shape[:2]
    moved, light = variation.moved, variation.lit
    if variation.mirrored and rng.random() < 0.5:
        image = image[:, ::-1]
    if variation.flipped and rng.random() < 0.5:
        image = image[::-1]
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), moved * rng.uniform(-2, 2), 1 + moved * rng.uniform(-0.03, 0.03)
    )
    turn[:, 2] += moved * rng.uniform(-0.02, 0.02, 2) * np.array([width, height])
    warped = with_channels(
        cv2.warpAffine(np.ascontiguousarray(image), turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    )
    lit = warped * np.float32(1 + light * rng.uniform(-0.15, 0.15)) + np.float32(light * rng.uniform(-0.03, 0.03))
    return np.clip(lit, 0, 1)


def degrade(frame: Pixels, rng: Rng) -> Pixels:
    """A frame uint8 [H, W, C] as a worse camera would take it: blurred, noisy, compressed, or badly exposed."""
    choice = rng.integers(4)
    if choice == 0:
        return with_channels(cv2.GaussianBlur(frame, (0, 0), log_uniform(*BLUR, rng)))
    if choice == 1:
        noise = log_uniform(*NOISE, rng) * rng.standard_normal(frame.shape, np.float32)
        return np.clip(frame + noise, 0, 255).round().astype(np.uint8)
    if choice == 2:
        return np.clip(frame * np.float32(log_uniform(*EXPOSURE, rng)), 0, 255).round().astype(np.uint8)
    quality = round(log_uniform(*JPEG_QUALITY, rng))
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return with_channels(np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8))


def log_uniform(low: float, high: float, rng: Rng) -> float:
    """A number between `low` and `high` whose logarithm is uniformly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def with_channels(image: NDArray[Any]) -> NDArray[Any]:
    """OpenCV drops the channel axis of grey images: put it back."""
    return image[:, :, None] if image.ndim == 2 else image
