"""Near-duplicates: photographs of one part, as in a burst. A network that has seen one has seen the others."""

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked
from numpy.typing import NDArray

from andon_trainer.data.sample import Sample

CORRELATION = 0.98  # of thumbnails, from which on two images are near-duplicates
STRICTER_CORRELATIONS = (0.985, 0.99, 0.995, 0.999, 0.9995)  # tried in turn where a group grows too large
MAX_GROUP_SHARE = 0.2  # of all images; a larger group is no longer photographs of one part
MAX_SMALL_GROUP = 6  # images; a group of this size may be a larger share of few images
THUMBNAIL_PIXELS = 32  # along each side
# A few pictures of different parts under one camera are this much alike by chance; those of one burst are more so.
TESTED_CORRELATION = 0.985
# Between two photographs a part moves. Thumbnails are compared as they are and moved by half a pixel of theirs in every
# direction, a sixtieth of the frame; smaller movements are put in by a Taylor series, up to this many pixels.
MOVED_PIXELS = (-0.5, 0.0, 0.5)
MAX_TAYLOR_PIXELS = 0.5
STEPS = 4  # in a thumbnail's pixel, with which it is moved
MAX_MOVED_IMAGES = 1500  # of more, only thumbnails as they are: nine times as many comparisons would take a minute
BLUR = 1.2  # of thumbnails, in their pixels: a Taylor series needs smooth pictures
DARK_LEVEL = 8.0  # grey levels, added before the logarithm so that noise in the dark is not made large
MIN_SPREAD = 1e-6  # of a thumbnail; a smaller one is rounding
RIDGE = 1e-6  # so that thumbnails without a gradient can be inverted
BLOCK_IMAGES = 500  # that are compared with all others at once

Grey = NDArray[np.float32]  # [N, H, W]
Rows = NDArray[np.float32]  # [N, K], thumbnails


def group_near_duplicates(images: Pixels, correlation: float = CORRELATION) -> NDArray[np.int64]:
    """Group photographs of one part: a group number for each image, int [N], numbered from 0.

    `images`: uint8 [N, H, W, C]. Near-duplicates are images whose thumbnails (32 x 32 grey, mean of all images
    subtracted, normalised) correlate, shifted a little or with another tone curve, too; groups are connected
    components. Parts under a fixed camera all look alike: where one group would take more than a fifth of the images, a
    higher correlation is required.
    """
    similarity = similarities(images)
    for threshold in (correlation, *STRICTER_CORRELATIONS):
        groups = _components(np.argwhere(similarity > threshold), len(images))
        if np.bincount(groups).max() <= max(MAX_SMALL_GROUP, MAX_GROUP_SHARE * len(images)):
            return groups
    return np.arange(len(images))


def similarities(images: Pixels) -> NDArray[np.float32]:
    """How alike images uint8 [N, H, W, C] are, each two of them, once one is moved onto the other: float32 [N, N].

    It is the larger correlation of two: of grey levels as they are, which another exposure changes evenly, and of their
    logarithms, which another gamma does.
    """
    side = THUMBNAIL_PIXELS * STEPS
    large = np.stack([cv2.resize(image.mean(axis=2), (side, side), interpolation=cv2.INTER_AREA) for image in images])
    best = np.full((len(images), len(images)), -1.0, np.float32)
    moves = MOVED_PIXELS if len(images) <= MAX_MOVED_IMAGES else (0.0,)
    for tone in (large, np.log(large + DARK_LEVEL)):
        fixed, mean = _standing(tone.astype(np.float32))
        for dy in moves:
            for dx in moves:
                _compare(fixed, mean, tone.astype(np.float32), round(dy * STEPS), round(dx * STEPS), best)
    return np.maximum(best, best.T)


def _standing(tone: Grey) -> tuple[Rows, NDArray[np.float32]]:
    """Standardised differences of thumbnails to the mean thumbnail, and that mean."""
    rows = _standardise(_flat(_thumbnails(tone, 0, 0)))
    mean = rows.mean(axis=0)
    return _standardise(rows - mean), mean


def _compare(fixed: Rows, mean: NDArray[np.float32], tone: Grey, dy: int, dx: int, best: NDArray[np.float32]) -> None:
    """Raise `best`, float32 [N, N], to the correlations of `fixed` with moved thumbnails, moved further a little.

    A moved thumbnail is t + u g for the gradient g = (g_y, g_x) and a movement u (Lucas & Kanade 1981). The
    correlation with the best u is the multiple correlation with t, g_y and g_x; it counts where u is small.
    """
    moved = _thumbnails(tone, dy, dx)
    raw = _flat(moved)
    spread = np.maximum(raw.std(axis=1, keepdims=True), MIN_SPREAD)
    steepness = cast(list[Grey], np.gradient(moved, axis=(1, 2)))
    gradients = [_flat(gradient) / spread for gradient in steepness]
    parts = [_standardise(raw) - mean, *(gradient - gradient.mean(axis=1, keepdims=True) for gradient in gradients)]
    size = np.maximum(parts[0].std(axis=1, keepdims=True), MIN_SPREAD)
    parts = [(part / size).astype(np.float32) for part in parts]
    parts[0] -= parts[0].mean(axis=1, keepdims=True)
    pixels = parts[0].shape[1]
    gram = np.array([[np.einsum("nk,nk->n", one, other) / pixels for other in parts] for one in parts])  # [3, 3, N]
    inverse = np.linalg.inv(gram.transpose(2, 0, 1) + RIDGE * np.eye(3)).astype(np.float32)  # [N, 3, 3]
    for start in range(0, len(fixed), BLOCK_IMAGES):
        block = slice(start, start + BLOCK_IMAGES)
        products = [fixed[block] @ part.T / pixels for part in parts]  # each [B, N]
        weights = [sum(inverse[:, i, k] * products[k] for k in range(3)) for i in range(3)]
        squared = sum(weight * product for weight, product in zip(weights, products, strict=True))
        reach = MAX_TAYLOR_PIXELS * weights[0]
        near = (weights[0] > 0) & (np.abs(weights[1]) <= reach) & (np.abs(weights[2]) <= reach)
        found = np.where(near, np.sqrt(np.clip(squared, 0, 1)), products[0])
        np.maximum(best[block], found, out=best[block])


def _thumbnails(large: Grey, dy: int, dx: int) -> Grey:
    """Thumbnails of images float32 [N, h, w], moved by steps of `STEPS` in a pixel, without their outermost pixels."""
    inner = large[:, STEPS + dy : large.shape[1] - STEPS + dy, STEPS + dx : large.shape[2] - STEPS + dx]
    count, rows, columns = len(inner), inner.shape[1] // STEPS, inner.shape[2] // STEPS
    small: Grey = inner.reshape(count, rows, STEPS, columns, STEPS).mean(axis=(2, 4))
    return np.stack([cv2.GaussianBlur(one, (0, 0), BLUR) for one in small])


def _flat(pictures: Grey) -> Rows:
    """Without the outermost pixels, whose gradients and blur know one side only."""
    return pictures[:, 1:-1, 1:-1].reshape(len(pictures), -1)


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
    edges = [
        (group, count + known[name]) for group, name in zip(groups.tolist(), names, strict=True) if name is not None
    ]
    joined = _components(np.array(edges, np.int64), count + len(known))
    _, numbered = np.unique(joined[groups], return_inverse=True)
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


def _standardise(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = centred / np.maximum(centred.std(axis=1, keepdims=True), MIN_SPREAD)
    return scaled


def _components(edges: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The connected component of each of `count` nodes, int [count], by edges int [E, 2]."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = edges.reshape(-1, 2).T
    _, labels = connected_components(coo_array((np.ones(len(first)), (first, second)), (count, count)), directed=False)
    return np.asarray(labels, dtype=np.int64)
