"""What is measured of a frame before it is kept: a thumbnail, light, sharpness."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_monitor.image_files.decoding import DecodingLimits, Pixels, decode, decode_values, read_header
from andon_monitor.model.imaging import sharpness

SIDE = 64  # pixels of a thumbnail along each side
# Pictures are measured at most at this many pixels along the longer side: so sharpness does not depend on the camera's
# resolution, and noise and dead pixels count little.
MEASURED_SIDE = 512
WHITE_LEVELS = (1023, 4095, 16383, 65535)  # of cameras with 10, 12, 14 and 16 bits
IGNORED_PERCENT = 0.5  # of the darkest and brightest pixels, as there may be reflections

Thumbnail = NDArray[np.float32]


@dataclass(frozen=True)
class Picture:
    """A frame as it is judged. `thumbnail`: float32 [SIDE, SIDE] in grey levels, its mean subtracted.

    `low`, `high`: the darkest and brightest grey levels but for a few pixels. `sharpness`: variance of the Laplacian.
    """

    thumbnail: Thumbnail
    low: float
    high: float
    sharpness: float


def measure(data: bytes, limits: DecodingLimits) -> Picture:
    """Decode and measure an image file. Raises ImageError."""
    header = read_header(data)
    if header.depth == 16:
        values = decode_values(data, limits)
        levels = (header.levels,) if header.levels < WHITE_LEVELS[-1] else WHITE_LEVELS
        white = next(level for level in levels if int(values.max()) <= level)
        grey = (values.mean(axis=2) * (255 / white)).round().astype(np.uint8)
    else:
        longer = max(header.width, header.height)
        reduction = next((by for by in (8, 4, 2) if longer >= by * MEASURED_SIDE), 1) if header.format == "JPEG" else 1
        grey = decode(data, 1, limits=limits, reduction=reduction)[:, :, 0]
    small = _shrunk(grey)
    low, high = np.percentile(small, (IGNORED_PERCENT, 100 - IGNORED_PERCENT))
    return Picture(_thumbnail(small), float(low), float(high), sharpness(small[:, :, None]))


def _thumbnail(grey: Pixels) -> Thumbnail:
    """The thumbnail of a grey picture uint8 [H, W]; without its mean, a little more or less light changes nothing."""
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    without_mean: Thumbnail = small - small.mean()
    return without_mean


def distance(one: Thumbnail, other: Thumbnail) -> float:
    """How far apart two thumbnails are: root of the mean square difference in grey levels."""
    return float(np.sqrt(np.mean((one - other) ** 2)))


class Thumbnails:
    """Thumbnails of all images in a folder, and which of them is nearest to another one."""

    def __init__(self) -> None:
        self._count = 0
        self._all = np.empty((64, SIDE * SIDE), np.float16)
        # Means of 8 x 8 pixels: their distance is never larger, so most thumbnails need no comparison in full.
        self._coarse = np.empty((64, 64), np.float32)

    def __len__(self) -> int:
        return self._count

    def add(self, picture: Thumbnail) -> None:
        """Add one."""
        if self._count == len(self._all):
            self._all = np.concatenate([self._all, np.empty_like(self._all)])
            self._coarse = np.concatenate([self._coarse, np.empty_like(self._coarse)])
        self._all[self._count] = picture.ravel()
        self._coarse[self._count] = _blocks(picture)
        self._count += 1

    def has_near(self, picture: Thumbnail, limit: float) -> bool:
        """Whether any is at most `limit` grey levels away."""
        coarse = np.sqrt(((self._coarse[: self._count] - _blocks(picture)) ** 2).mean(axis=1))
        candidates = np.flatnonzero(coarse <= limit)
        flat = picture.ravel()
        return any(np.sqrt(((self._all[i].astype(np.float32) - flat) ** 2).mean()) <= limit for i in candidates)


def _blocks(picture: Thumbnail) -> NDArray[np.float32]:
    blocks: NDArray[np.float32] = picture.reshape(8, SIDE // 8, 8, SIDE // 8).mean(axis=(1, 3)).ravel()
    return blocks


def _shrunk(grey: Pixels) -> Pixels:
    longer = max(grey.shape)
    if longer <= MEASURED_SIDE:
        return grey
    height, width = (max(3, round(side * MEASURED_SIDE / longer)) for side in grey.shape)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
