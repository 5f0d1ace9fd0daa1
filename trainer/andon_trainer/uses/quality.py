"""How similar an image is to its original: PSNR and SSIM."""

import math

import cv2
import numpy as np
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

# From Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def squared_error(a: Pixels, b: Pixels) -> float:
    """Mean squared difference of two images uint8 [H, W, C], in squared grey levels."""
    return float(np.square(a.astype(np.float64) - b).mean())


def psnr(a: Pixels, b: Pixels) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal images."""
    error = squared_error(a, b)
    return 10 * math.log10(255**2 / error) if error else math.inf


def ssim(a: Pixels, b: Pixels) -> float:
    """Mean structural similarity of two images uint8 [H, W, C] over all channels (Wang et al. 2004)."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (var_x + var_y + C2)
    return float((luminance * structure).mean())


def mean_psnr(images: Pixels, originals: Pixels, highest: float = math.inf) -> float:
    """The mean PSNR in dB of images uint8 [N, H, W, C], each counting `highest` at most."""
    pairs = zip(images, originals, strict=True)
    return float(np.mean([min(psnr(image, original), highest) for image, original in pairs]))


def mean_ssim(images: Pixels, originals: Pixels) -> float:
    """The mean SSIM of images uint8 [N, H, W, C]."""
    return float(np.mean([ssim(image, original) for image, original in zip(images, originals, strict=True)]))


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    blurred: NDArray[np.float64] = cv2.GaussianBlur(image, (WINDOW, WINDOW), SIGMA).reshape(image.shape)  # type: ignore[assignment]
    return blurred
