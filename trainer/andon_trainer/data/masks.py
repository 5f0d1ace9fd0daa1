"""Masks: which pixels of an image are defect."""

from pathlib import Path

import numpy as np
from andon_monitor.errors import ImageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits, decode_values, read_header
from andon_monitor.model import imaging
from andon_monitor.model.card import InputSpec
from numpy.typing import NDArray

from andon_trainer.data.images import naming, read_bytes

LOSSY = ("JPEG", "WebP")  # values around 0 are noise of the format
LEAST_LOSSY_VALUE = 128  # of the defect in a lossy mask; whatever is above half of its highest value is defect
# Of a mask's border: what is good there is 0. More means that the values are inverted; a few 0s do not change that.
MAX_DEFECT_BORDER = 0.9


def load_mask(
    path: Path,
    spec: InputSpec,
    size: tuple[int, int] | None = None,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> NDArray[np.bool_]:
    """A mask as bool [spec.height, spec.width], cropped and resized as its image was. Raises as `read_mask`."""
    mask = read_mask(path, size, limits)
    with naming(path):
        whole = np.where(mask, np.uint8(255), np.uint8(0))[:, :, None]
        return imaging.prepare(whole, spec.model_copy(update={"channels": 1}))[:, :, 0] > 127


def read_mask(
    path: Path, size: tuple[int, int] | None = None, limits: DecodingLimits = DEFAULT_LIMITS
) -> NDArray[np.bool_]:
    """A mask as bool [height, width]: whatever is not 0 is defect.

    `size`: width and height of the image. Raises UsageError: a mask that cannot be read, has another size, or is
    defect nearly all along its border, which means that good pixels are not 0.
    """
    content = read_bytes(path)
    with naming(path):
        header = read_header(content)
        values = decode_values(content, limits)
        height, width = values.shape[:2]
        if size is not None and (width, height) != size:
            raise ImageError("wrong_shape", f"a mask of {width} x {height} pixels, its image is {size[0]} x {size[1]}")
        highest = int(values.max())
        is_lossy = header.format in LOSSY
        if is_lossy and 0 < highest < LEAST_LOSSY_VALUE:
            raise ImageError(
                "undecodable", f"a mask with values up to {highest} in a format that changes them; save it as PNG"
            )
        mask: NDArray[np.bool_] = np.any(values > (highest // 2 if is_lossy else 0), axis=2)
        border = np.concatenate((mask[0], mask[-1], mask[:, 0], mask[:, -1]))
        if border.mean() > MAX_DEFECT_BORDER:
            raise ImageError("undecodable", "a mask without 0 along its border; pixels of good parts have to be 0")
        return mask
