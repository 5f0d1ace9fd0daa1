"""Cleaned images: the reconstruction of noisy ones, beside the filters that people use."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.uses.quality import psnr, ssim


def _gaussian(frame: Pixels, sigma: float) -> NDArray[np.uint8]:
    return cv2.GaussianBlur(frame, (0, 0), sigma)  # type: ignore[return-value]


def _median(frame: Pixels, size: float) -> NDArray[np.uint8]:
    return cv2.medianBlur(frame, int(size))  # type: ignore[return-value]


def _non_local_means(frame: Pixels, strength: float) -> NDArray[np.uint8]:
    denoise = cv2.fastNlMeansDenoising if frame.shape[2] == 1 else cv2.fastNlMeansDenoisingColored
    return denoise(frame, None, strength)  # type: ignore[return-value]


Filter = Callable[[Pixels, float], NDArray[np.uint8]]
# Each with the settings that are tried: widths in pixels, of non-local means the strength in grey levels.
FILTERS: dict[str, tuple[Filter, tuple[float, ...]]] = {
    "Gaussian": (_gaussian, (0.7, 1.0, 1.5, 2.0, 3.0)),
    "median": (_median, (3, 5, 7, 9)),
    "non-local means": (_non_local_means, (5, 10, 20, 30, 45, 60, 80)),
}


@dataclass(frozen=True)
class Result:
    """One way of cleaning: its setting, the pictures uint8 [N, H, W, C], and how like the clean ones they are."""

    name: str
    setting: float | None
    pictures: Pixels
    psnr: float  # dB, mean over the pictures
    ssim: float


def add_noise(frames: Pixels, deviation: float, seed: int) -> Pixels:
    """Frames uint8 with Gaussian noise of that deviation, in grey levels, cut to 0..255."""
    rng = np.random.default_rng(seed)
    noisy: Pixels = np.clip(frames + rng.normal(0, deviation, frames.shape), 0, 255).round().astype(np.uint8)
    return noisy


def compare(part: Autoencoder, noisy: Pixels, clean: Pixels) -> list[Result]:
    """The noisy frames as they are, each filter at its best setting, and the autoencoder. Frames: uint8 [N, H, W, C].

    A filter's setting is the one with the highest PSNR on these very images, which nobody who lacks the clean ones can
    choose: the comparison favours the filters.
    """
    results = [_judge("noisy", None, noisy, clean)]
    for name, (apply, settings) in FILTERS.items():
        tried = []
        for setting in settings:
            pictures = np.stack([apply(frame, setting).reshape(frame.shape) for frame in noisy])
            tried.append(_judge(name, setting, pictures, clean))
        results.append(max(tried, key=lambda result: result.psnr))
    return [*results, _judge("autoencoder", None, clean_up(part, noisy), clean)]


def clean_up(part: Autoencoder, noisy: Pixels) -> Pixels:
    """Noisy frames uint8 [N, H, W, C] by the autoencoder: their reconstructions, lit as the frames are.

    Noise adds to a frame's contrast, and the reconstruction would have it too. A straight line fitted through its
    pixels and the frame's (least squares) takes that back: over so many pixels noise cancels out.
    """
    rebuilt = part.reconstruct(noisy).astype(np.float64)
    axes = (1, 2, 3)
    mean, level = rebuilt.mean(axes, keepdims=True), noisy.mean(axes, keepdims=True)
    covariance = ((rebuilt - mean) * (noisy - level)).mean(axes, keepdims=True)
    variance = np.maximum(rebuilt.var(axes, keepdims=True), 1.0)
    lit: Pixels = np.clip((rebuilt - mean) * covariance / variance + level, 0, 255).round().astype(np.uint8)
    return lit


def _judge(name: str, setting: float | None, pictures: Pixels, clean: Pixels) -> Result:
    pairs = list(zip(pictures, clean, strict=True))
    return Result(
        name,
        setting,
        pictures,
        float(np.mean([psnr(picture, original) for picture, original in pairs])),
        float(np.mean([ssim(picture, original) for picture, original in pairs])),
    )
