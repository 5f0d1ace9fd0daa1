"""Which values of 16-bit images become black and white.

A camera of 12 bits uses values from 0 to 4,095. Radiometric, X-ray and depth images use few values far from 0: spread
over 8 bits from 0 to 65,535, 500 counts at 29,000 would be two grey levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES = 2**16
WHITE_LEVELS = (1023, 4095, 16383, 65535)  # of cameras with 10, 12, 14 and 16 bits
# Pixels that do not count at either end of an image's range: this share, and at least so many. A sensor has a few dead
# pixels among millions.
IGNORED_SHARE = 1e-4
MIN_IGNORED_PIXELS = 4
# Images that do not count at either end: of few images one, of many this share.
IGNORED_IMAGES = 0.02
# A range is narrow where it is further from 0 than it is wide, and less than this share of the camera's values.
NARROW_SHARE = 0.25
# Room for darker and brighter parts, on each side of a narrow range, as a multiple of it.
MARGIN = 1.0
MIN_WIDTH = 255  # from black to white: every value has a grey level of its own


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The values of one 16-bit image, but for a few pixels: `highest` of all, `low` and `high` without 0 and 65,535.

    Those two also stand for "no measurement" and "out of range"; `low` is above `high` where there are no others.
    """

    highest: int
    low: int
    high: int


def value_range(image: NDArray[Any]) -> ValueRange:
    """The range of an image uint16 [H, W, C]."""
    counts = np.bincount(image.ravel(), minlength=VALUES)
    _, highest = _ends(counts)
    counts[[0, VALUES - 1]] = 0
    return ValueRange(highest, *_ends(counts))


def choose_levels(ranges: Sequence[ValueRange], declared: int = VALUES - 1) -> tuple[int, int]:
    """The values that become black and white for images of these ranges. One odd image among eight decides nothing.

    `declared` is the largest value that the files allow: PGM and PPM of a 12-bit camera say 4,095, others 65,535.
    """
    highest = _usual([found.highest for found in ranges])
    camera = declared if declared < VALUES - 1 else next(level for level in WHITE_LEVELS if highest <= level)
    measured = [found for found in ranges if found.low <= found.high]
    if not measured:
        return 0, camera
    low = VALUES - 1 - _usual([VALUES - 1 - found.low for found in measured])
    high = max(low, _usual([found.high for found in measured]))
    width = high - low
    if low <= width or width >= NARROW_SHARE * camera:
        return 0, camera
    margin = max(MARGIN * width, (MIN_WIDTH - width) / 2)
    black = min(max(0, round(low - margin)), VALUES - 1 - MIN_WIDTH)
    return black, min(VALUES - 1, max(round(high + margin), black + MIN_WIDTH))


def _ends(counts: NDArray[np.int64]) -> tuple[int, int]:
    """The lowest and the highest value, int [65536] pixels of each, but for a few pixels at each end."""
    total = int(counts.sum())
    if total == 0:
        return VALUES - 1, 0
    ignored = max(int(IGNORED_SHARE * total), min(MIN_IGNORED_PIXELS, total // 100))
    sums = counts.cumsum()
    low = int(np.searchsorted(sums, ignored, side="right"))
    high = int(np.searchsorted(sums, total - ignored, side="left"))
    return low, high


def _usual(values: Sequence[int]) -> int:
    """The highest value, but for a few images."""
    ignored = max(1, int(IGNORED_IMAGES * len(values))) if len(values) > 2 else 0
    return sorted(values)[-1 - ignored]
