"""Which images a model was fitted to: short hashes on its card, by which `calibrate` and `evaluate` know them again."""

from hashlib import sha256

import numpy as np
from andon_monitor.model.card import MAX_KNOWN_IMAGES
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

HASH_DIGITS = 12  # hexadecimal: among a million images, one in 300 million is taken for a known one by chance


def image_hashes(images: Pixels) -> tuple[str, ...]:
    """Sorted hashes of images uint8 [N, H, W, C]; of very many the lowest, which are a random sample."""
    return tuple(sorted({image_hash(image) for image in images})[:MAX_KNOWN_IMAGES])


def are_known(images: Pixels, hashes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which of the images uint8 [N, H, W, C] have one of these hashes: bool [N].

    Pixels at the model's size are compared, so another name, folder or metadata does not hide them.
    """
    known = set(hashes)
    return np.array([image_hash(image) in known for image in images], np.bool_)


def image_hash(image: Pixels) -> str:
    """The short hash of one image uint8 [H, W, C]."""
    return sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:HASH_DIGITS]
