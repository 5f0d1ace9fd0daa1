"""Good frames as they may come another time: moved, lit or photographed otherwise, and good all the same."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

Image = NDArray[Any]  # float32 [H, W, C] in 0..1
Rng = np.random.Generator

# What `degrade` draws from, each log-uniformly, at the size that the network sees.
BLUR = (0.3, 1.0)  # pixels, one standard deviation
NOISE = (0.75, 7.5)  # grey levels, one standard deviation
JPEG_QUALITY = (40, 95)
EXPOSURE = (0.75, 1.3)  # times as much light; what is too bright is white


@dataclass(frozen=True)
class Variation:
    """What harmless changes good parts are shown under: how much `vary` moves and lights them, which way they may lie,
    and how many of them a worse camera took.
    """

    moved: float = 1.0
    lit: float = 1.0
    mirrored: bool = False  # left and right
    flipped: bool = False  # upside down
    degraded: float = 0.0  # share of the frames


def to_float(image: NDArray[np.uint8]) -> Image:
    """uint8 to float32 in 0..1."""
    return image.astype(np.float32) / 255


def to_levels(image: Image) -> Pixels:
    """The reverse of `to_float`."""
    return (image * 255).round().astype(np.uint8)


def vary(image: Image, rng: Rng, variation: Variation = Variation()) -> Image:
    """What a good part may do: turn by 2 degrees, shift by 2 %, scale by 3 %, be lit by 15 % more or less, at most.

    `variation` asks for so many times as much of it. Where the parts may lie either way, every second one is
    mirrored and every second one upside down.
    """
    height, width = image.shape[:2]
    most, light = variation.moved, variation.lit
    if variation.mirrored and rng.random() < 0.5:
        image = image[:, ::-1]
    if variation.flipped and rng.random() < 0.5:
        image = image[::-1]
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), most * rng.uniform(-2, 2), 1 + most * rng.uniform(-0.03, 0.03)
    )
    turn[:, 2] += most * rng.uniform(-0.02, 0.02, 2) * np.array([width, height])
    moved = with_channels(
        cv2.warpAffine(np.ascontiguousarray(image), turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    )
    lit = moved * np.float32(1 + light * rng.uniform(-0.15, 0.15)) + np.float32(light * rng.uniform(-0.03, 0.03))
    return np.clip(lit, 0, 1)


def degrade(frame: Pixels, rng: Rng) -> Pixels:
    """A frame uint8 [H, W, C] of a worse camera: a little out of focus, noisy, compressing, or exposed otherwise."""
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
    """A number between `low` and `high` whose logarithm is uniform: as many small ones as large ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def with_channels(image: NDArray[Any]) -> NDArray[Any]:
    """OpenCV drops the channel axis of grey images: put it back."""
    return image[:, :, None] if image.ndim == 2 else image
