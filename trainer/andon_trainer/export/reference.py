"""How good frames usually are, as the card keeps it for the monitor to compare with; without torch."""

import numpy as np
from andon_monitor.model import imaging
from andon_monitor.model.card import Reference, Spread
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked
from numpy.typing import ArrayLike, NDArray


def measure_reference(scores: NDArray[np.float32], frames: Pixels, masked: Masked | None = None) -> Reference:
    """The spread of scores (float32 [N]), brightness and sharpness of good frames uint8 [N, H, W, C].

    `masked`: bool [H, W], pixels that do not count.
    """
    return Reference(
        score=spread(scores),
        brightness=spread([imaging.brightness(frame, masked) for frame in frames]),
        sharpness=spread([imaging.sharpness(frame, masked) for frame in frames]),
    )


def spread(values: ArrayLike) -> Spread:
    """Mean, standard deviation, lowest and highest of values [N]."""
    array = np.asarray(values, dtype=np.float64)
    mean, std, lowest, highest = (float(value) for value in (array.mean(), array.std(), array.min(), array.max()))
    return Spread(mean=mean, std=std, lowest=lowest, highest=highest)
