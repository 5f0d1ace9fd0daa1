"""Near-duplicates: photographs of one part, as in a burst. A network that has seen one has seen the others."""

from collections.abc import Sequence

import cv2
import numpy as np
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked
from numpy.typing import NDArray

from andon_trainer.data.sample import Sample

CORRELATION = 0.97  # of thumbnails, from which on two images are near-duplicates
STRICTER_CORRELATIONS = (0.98, 0.99, 0.995, 0.999, 0.9995)  # tried in turn where a group grows too large
MAX_GROUP_SHARE = 0.2  # of all images; a larger group is no longer photographs of one part
MAX_SMALL_GROUP = 6  # images; a group of this size may be a larger share of few images
THUMBNAIL_PIXELS = 24  # along each side
# A few pictures of different parts under one camera are this much alike by chance; those of one burst are more so.
TESTED_CORRELATION = 0.98


def group_near_duplicates(images: Pixels, correlation: float = CORRELATION) -> NDArray[np.int64]:
    """Group photographs of one part: a group number for each image, int [N], numbered from 0.

    `images`: uint8 [N, H, W, C]. Near-duplicates are images whose thumbnails (24 x 24 grey, mean of all images
    subtracted, normalised) correlate; groups are connected components. Parts under a fixed camera all look alike: where
    one group would take more than a fifth of the images, a higher correlation is required.
    """
    grey = images.mean(axis=3)
    thumbnails = np.stack(
        [cv2.resize(image, (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), interpolation=cv2.INTER_AREA) for image in grey]
    )
    flat = thumbnails.reshape(len(images), -1).astype(np.float64)
    flat = _standardise(flat)
    flat = _standardise(flat - flat.mean(axis=0))
    similarity = flat @ flat.T / flat.shape[1]
    for threshold in (correlation, *STRICTER_CORRELATIONS):
        groups = _components(similarity > threshold)
        if np.bincount(groups).max() <= max(MAX_SMALL_GROUP, MAX_GROUP_SHARE * len(images)):
            return groups
    return np.arange(len(images))


def group_samples(samples: Sequence[Sample], images: Pixels, masked: Masked | None = None) -> NDArray[np.int64]:
    """`group_near_duplicates`, and images of one part, where it is known, are in one group, too: int [N].

    `masked`: bool [H, W], pixels that the model does not look at and that do not count.
    """
    return join_groups(group_near_duplicates(blacken(images, masked)), [sample.part for sample in samples])


def blacken(images: Pixels, masked: Masked | None) -> Pixels:
    """Images uint8 [N, H, W, C] with black pixels where they are masked."""
    return images if masked is None else np.where(masked[None, :, :, None], np.uint8(0), images)


def join_groups(groups: NDArray[np.int64], names: Sequence[str | None]) -> NDArray[np.int64]:
    """Groups int [N] in which images of one name are in one group; None is no name. Numbered from 0."""
    known = {name: i for i, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
    if not known:
        return groups
    # A graph of groups and names: each image with a name connects the two.
    count = int(groups.max()) + 1
    adjacent = np.eye(count + len(known), dtype=np.bool_)
    for group, name in zip(groups.tolist(), names, strict=True):
        if name is not None:
            adjacent[group, count + known[name]] = True
    _, numbered = np.unique(_components(adjacent)[groups], return_inverse=True)
    return numbered.astype(np.int64)


def near_duplicates_between(
    images: Pixels,
    tested: Sequence[Sample],
    tested_images: Pixels,
    correlation: float = TESTED_CORRELATION,
    masked: Masked | None = None,
) -> tuple[Sample, ...]:
    """The test images with a near-duplicate among `images`; both uint8 [., H, W, C]. See `group_samples`."""
    if not len(tested):
        return ()
    both = blacken(np.concatenate([images, tested_images]), masked)
    groups = group_near_duplicates(both, correlation).tolist()
    known = set(groups[: len(images)])
    return tuple(sample for sample, group in zip(tested, groups[len(images) :], strict=True) if group in known)


def _standardise(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float64] = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-9)
    return scaled


def _components(adjacent: NDArray[np.bool_]) -> NDArray[np.int64]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(csr_array(adjacent), directed=False)
    return np.asarray(labels, dtype=np.int64)
