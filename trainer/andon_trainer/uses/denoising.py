"""Noisy images cleaned by the autoencoder, compared with common filters."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.data.image_files import ImageFiles
from andon_trainer.progress import Progress, quiet
from andon_trainer.uses import drawing
from andon_trainer.uses.quality import mean_psnr, mean_ssim


def _gaussian(frame: Pixels, sigma: float) -> NDArray[np.uint8]:
    return cv2.GaussianBlur(frame, (0, 0), sigma)  # type: ignore[return-value]


def _median(frame: Pixels, size: float) -> NDArray[np.uint8]:
    return cv2.medianBlur(frame, int(size))  # type: ignore[return-value]


def _non_local_means(frame: Pixels, strength: float) -> NDArray[np.uint8]:
    apply = cv2.fastNlMeansDenoising if frame.shape[2] == 1 else cv2.fastNlMeansDenoisingColored
    return apply(frame, None, strength)  # type: ignore[return-value]


Filter = Callable[[Pixels, float], NDArray[np.uint8]]
# Each filter with the settings to try: widths in pixels; for non-local means, strengths in grey levels.
FILTERS: dict[str, tuple[Filter, tuple[float, ...]]] = {
    "Gaussian": (_gaussian, (0.7, 1.0, 1.5, 2.0, 3.0)),
    "median": (_median, (3, 5, 7, 9)),
    "non-local means": (_non_local_means, (5, 10, 20, 30, 45, 60, 80)),
}


@dataclass(frozen=True)
class Cleaned:
    """Images cleaned in one way, uint8 [N, H, W, C]; mean PSNR in dB and mean SSIM against the clean images."""

    name: str
    setting: float | None
    images: Pixels
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Denoised:
    """Images cleaned by the autoencoder, uint8 [N, H, W, C], and what the clean images allow to measure.

    Where the clean images are known, `clean` holds them and `comparison` has the noisy images, each filter at its best
    setting, and the autoencoder; otherwise None and ().
    """

    images: Pixels
    clean: Pixels | None = None
    comparison: tuple[Cleaned, ...] = ()


def denoise(
    autoencoder: Autoencoder,
    images: ImageFiles,
    clean: ImageFiles | None = None,
    noise: float = 0.0,
    seed: int = 0,
    progress: Progress = quiet,
) -> Denoised:
    """Clean images. `clean`: the same images without noise, in the same order, to compare with.

    With `noise`, a standard deviation in grey levels, the images given are the clean ones and noise is added to them
    first. Raises UsageError where an image cannot be read.
    """
    spec = autoencoder.card.input
    noisy = images.load(spec, progress)
    truth = clean.load(spec, progress) if clean else None
    if noise:
        noisy, truth = add_noise(noisy, noise, seed), noisy
    progress("cleaning", 0.0)
    if truth is None:
        return Denoised(denoise_frames(autoencoder, noisy))
    comparison = compare_with_filters(autoencoder, noisy, truth)
    return Denoised(comparison[-1].images, truth, tuple(comparison))


def denoise_frames(autoencoder: Autoencoder, noisy: Pixels) -> Pixels:
    """The reconstructions of noisy frames uint8 [N, H, W, C], with the brightness and contrast of the frames.

    Noise adds to a frame's contrast, and the reconstruction reproduces that. A straight line fitted from its pixels to
    those of the frame (least squares) corrects it: over so many pixels, noise averages out.
    """
    rebuilt = autoencoder.reconstruct(noisy).astype(np.float64)
    axes = (1, 2, 3)
    mean, level = rebuilt.mean(axes, keepdims=True), noisy.mean(axes, keepdims=True)
    covariance = ((rebuilt - mean) * (noisy - level)).mean(axes, keepdims=True)
    variance = np.maximum(rebuilt.var(axes, keepdims=True), 1.0)
    corrected: Pixels = np.clip((rebuilt - mean) * covariance / variance + level, 0, 255).round().astype(np.uint8)
    return corrected


def compare_with_filters(autoencoder: Autoencoder, noisy: Pixels, clean: Pixels) -> list[Cleaned]:
    """The noisy frames themselves, each filter at its best setting, and the autoencoder. Frames: uint8 [N, H, W, C].

    A filter's best setting is the one with the highest PSNR on these very images. It takes the clean images to choose
    it, so the comparison favours the filters.
    """
    results = [_measure("noisy", None, noisy, clean)]
    for name, (apply, settings) in FILTERS.items():
        tried = []
        for setting in settings:
            images = np.stack([apply(frame, setting).reshape(frame.shape) for frame in noisy])
            tried.append(_measure(name, setting, images, clean))
        results.append(max(tried, key=lambda result: result.psnr))
    return [*results, _measure("autoencoder", None, denoise_frames(autoencoder, noisy), clean)]


def add_noise(frames: Pixels, deviation: float, seed: int) -> Pixels:
    """Frames uint8 with Gaussian noise of this standard deviation, in grey levels, clipped to 0..255."""
    rng = np.random.default_rng(seed)
    noisy: Pixels = np.clip(frames + rng.normal(0, deviation, frames.shape), 0, 255).round().astype(np.uint8)
    return noisy


def match_names(clean: ImageFiles, noisy: ImageFiles) -> ImageFiles:
    """The clean images with the names of the noisy ones, in their order; one image matches one. Raises UsageError."""
    if len(clean) == len(noisy) == 1:
        return clean
    known = dict(zip(clean.names(), clean.paths, strict=True))
    for name in noisy.names():
        if name not in known:
            raise UsageError(f"--clean {clean.root}: {name} is missing, which {noisy.root} has")
    return ImageFiles(clean.root, tuple(known[name] for name in noisy.names()), clean.limits)


def _measure(name: str, setting: float | None, images: Pixels, clean: Pixels) -> Cleaned:
    return Cleaned(name, setting, images, mean_psnr(images, clean), mean_ssim(images, clean))


def draw_comparison(path: Path, denoised: Denoised) -> None:
    """Draw a few images clean, noisy, and cleaned in each way, as a PNG file; needs the clean images."""
    assert denoised.clean is not None
    results = {cleaned.name: cleaned.images for cleaned in denoised.comparison}
    drawing.comparison(path, "clean", denoised.clean, results)
