"""What an archive is worth: pictures from it beside JPEG and WebP of the same size."""

from dataclasses import dataclass

import cv2
import numpy as np
from andon_monitor.model.imaging import Pixels

from andon_trainer.uses.quality import psnr, ssim

SCALES = (1.0, 0.5, 0.25, 0.125)  # a codec at a few dozen bytes does better on a smaller picture, enlarged again
QUALITIES = (1, 3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90)


@dataclass(frozen=True)
class Coded:
    """One way of coding images: mean bytes an image, mean PSNR in dB and SSIM, and the pictures uint8 [N, H, W, C]."""

    name: str
    size: float
    psnr: float
    ssim: float
    pictures: Pixels


def measure(name: str, size: float, pictures: Pixels, originals: Pixels) -> Coded:
    """Pictures from `size` bytes each, beside their originals."""
    pairs = list(zip(pictures, originals, strict=True))
    return Coded(
        name,
        size,
        float(np.mean([min(psnr(*pair), 99.0) for pair in pairs])),
        float(np.mean([ssim(*pair) for pair in pairs])),
        pictures,
    )


def rival(name: str, suffix: str, originals: Pixels, budget: float) -> Coded:
    """An image codec, each image at the scale and quality best within `budget` bytes, or smallest where none fits."""
    coded = [best_within(suffix, image, budget) for image in originals]
    return measure(name, float(np.mean([size for size, _ in coded])), np.stack([p for _, p in coded]), originals)


def best_within(suffix: str, image: Pixels, budget: float) -> tuple[int, Pixels]:
    """Bytes and picture of one image uint8 [H, W, C], of all scales and qualities tried."""
    best: tuple[float, int, Pixels] | None = None
    smallest: tuple[int, Pixels] | None = None
    for scale in SCALES:
        for quality in QUALITIES:
            size, picture = code(suffix, image, scale, quality)
            if smallest is None or size < smallest[0]:
                smallest = (size, picture)
            if size > budget:
                break  # a higher quality is larger still
            likeness = psnr(picture, image)
            if best is None or likeness > best[0]:
                best = (likeness, size, picture)
    if best is not None:
        return best[1:]
    assert smallest is not None
    return smallest


def code(suffix: str, image: Pixels, scale: float, quality: int) -> tuple[int, Pixels]:
    """Bytes of an image coded at a scale and quality, and the picture they give, at the image's size."""
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    flag = cv2.IMWRITE_JPEG_QUALITY if suffix == ".jpg" else cv2.IMWRITE_WEBP_QUALITY
    settings = [flag, quality] + ([cv2.IMWRITE_JPEG_OPTIMIZE, 1] if suffix == ".jpg" else [])
    ordered = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(suffix, cv2.resize(ordered, size, interpolation=cv2.INTER_AREA), settings)
    read = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE if image.shape[2] == 1 else cv2.IMREAD_COLOR_RGB)
    enlarged = cv2.resize(read, (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[arg-type]
    picture: Pixels = enlarged.reshape(image.shape).astype(np.uint8)
    return len(data), picture
