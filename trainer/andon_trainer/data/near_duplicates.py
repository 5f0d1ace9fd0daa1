"""Near-twins, photographs of one part: a burst, several exposures. What is known of one is known of the others."""

from collections.abc import Sequence

import cv2
import numpy as np
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.data.dataset import Sample

# Of different parts under one camera a few look this much alike by chance; those of a burst look more so.
TESTED_CORRELATION = 0.98


def find_twins(images: Pixels, correlation: float = 0.97) -> NDArray[np.int64]:
    """Group near-twins, photographs of one part: a group number for each image, int [N], numbered from 0.

    `images`: uint8 [N, H, W, C]. Twins are images whose thumbnails (24 x 24 grey, mean of all images subtracted,
    normalised) correlate; groups are connected components. Parts under a fixed camera all look alike, so where one
    group would swallow a fifth of the images, a higher correlation is asked for.
    """
    grey = images.mean(axis=3)
    thumbnails = np.stack([cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA) for image in grey])
    flat = thumbnails.reshape(len(images), -1).astype(np.float64)
    flat = _standardise(flat)
    flat = _standardise(flat - flat.mean(axis=0))
    similarity = flat @ flat.T / flat.shape[1]
    for threshold in (correlation, 0.98, 0.99, 0.995, 0.999, 0.9995):
        groups = _components(similarity > threshold)
        if np.bincount(groups).max() <= max(6, len(images) / 5):
            return groups
    return np.arange(len(images))


def twins_between(
    images: Pixels, tested: Sequence[Sample], tested_images: Pixels, correlation: float = TESTED_CORRELATION
) -> tuple[Sample, ...]:
    """The test images that have a near-twin among `images`; both uint8 [., H, W, C]. See `find_twins`."""
    if not len(tested):
        return ()
    groups = find_twins(np.concatenate([images, tested_images]), correlation).tolist()
    seen = set(groups[: len(images)])
    return tuple(sample for sample, group in zip(tested, groups[len(images) :], strict=True) if group in seen)


def _standardise(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float64] = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-9)
    return scaled


def _components(adjacent: NDArray[np.bool_]) -> NDArray[np.int64]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(csr_array(adjacent), directed=False)
    return np.asarray(labels, dtype=np.int64)
