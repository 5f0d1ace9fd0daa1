"""Which images a network learns from and which are held out; of several networks, every image from one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from andon_monitor.model.calibration import MIN_CALIBRATION_IMAGES
from numpy.typing import NDArray

from andon_trainer.data.near_duplicates import join_groups

MIN_IMAGES_FOR_VALIDATION = 1000  # from this many on, some are held out for validation alone
VALIDATION_SHARE, MAX_VALIDATION_IMAGES = 0.1, 200
CALIBRATION_SHARE = 0.2
MIN_HELD_OUT_IMAGES, MAX_HELD_OUT_IMAGES = 4, 1200  # held out from one network
COMMON_SHARE = (
    0.05  # of the images are held out from all networks, `MIN_CALIBRATION_IMAGES` at least, where there are several
)
MIN_IMAGES_FOR_COMMON = 10 * MIN_CALIBRATION_IMAGES


# From so many recordings or batches on, whole ones are held out: a fifth of the images is one of five.
MIN_BATCHES = 5
MAX_BATCH_SHARE = 1 / 3  # of the images; a larger one would leave too few to learn from


@dataclass(frozen=True)
class Split:
    """Indices into the training images. `validation` may be the same as `calibration`.

    `groups` is the group of near-duplicates of every image, int [N]; each group is on one side.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]
    groups: NDArray[np.int64]


def whole_batches(groups: NDArray[np.int64], batches: Sequence[str | None]) -> NDArray[np.int64]:
    """Groups, int [N], that are never divided: whole batches where there are enough, else `groups`.

    A new batch, or night, differs more from those that were learned from than their own images do. The threshold allows
    for that only where whole ones were held out.
    """
    if None in batches or len(set(batches)) < MIN_BATCHES:
        return groups
    joined = join_groups(groups, batches)
    return joined if np.bincount(joined).max() <= MAX_BATCH_SHARE * len(groups) else groups


def split(groups: NDArray[np.int64], seed: int) -> Split:
    """Hold out a fifth of the images for calibration (at most 1,200) and, of many, a tenth for validation.

    `groups`: int [N] of `group_near_duplicates`; a group is never divided. With fewer than MIN_IMAGES_FOR_VALIDATION
    images the held-out ones serve for both: to learn from fewer images would cost more than the choice among a few
    evaluations, all late in the training, can change the threshold.
    """
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    return _split(groups, order, max(round(CALIBRATION_SHARE * len(groups)), MIN_HELD_OUT_IMAGES))


def splits(groups: NDArray[np.int64], seed: int, count: int) -> tuple[Split, ...]:
    """Split `count` times, each time holding out another third of the images, or less where `count` is more than three.

    So for each image there is a network that has not seen it. Of many images a few are held out every time: their
    scores by all networks together show how much smaller the errors of all are than those of one. One split is that of
    `split`. There are fewer than `count` where there are too few images or groups are too large.
    """
    total = len(groups)
    shares = min(max(count, 3), total // MIN_HELD_OUT_IMAGES)
    if count == 1 or shares < 2:
        return (split(groups, seed),)
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)[order]
    common = 0
    if total >= MIN_IMAGES_FOR_COMMON:
        common = int(np.searchsorted(sizes.cumsum(), max(COMMON_SHARE * total, MIN_CALIBRATION_IMAGES))) + 1
    always, others, sizes = order[:common], order[common:], sizes[common:]
    middles = sizes.cumsum() - sizes / 2
    share = middles * shares // max(sizes.sum(), 1)
    found = []
    for i in range(min(count, shares)):
        own, rest = others[share == i], others[share != i]
        held_out = np.concatenate([always, own])
        wanted = int(np.isin(groups, held_out).sum())
        if len(own) and wanted >= MIN_HELD_OUT_IMAGES and total - wanted >= total / 3:
            found.append(_split(groups, np.concatenate([held_out, rest]), wanted))
    return tuple(found) or (split(groups, seed),)


def common_to(parts: Sequence[Split]) -> NDArray[np.int64]:
    """The images, int [n], that are held out for calibration in all of these splits."""
    return reduce(np.intersect1d, [part.calibration for part in parts])


def together(parts: Sequence[Split]) -> Split:
    """The images that train, validate and calibrate in any of these splits of the same images."""
    train, validation, calibration = (
        np.unique(np.concatenate(indices))
        for indices in zip(*((part.train, part.validation, part.calibration) for part in parts), strict=True)
    )
    return Split(train, validation, calibration, parts[0].groups)


def _split(groups: NDArray[np.int64], order: NDArray[np.int64], held_out: int) -> Split:
    total = len(groups)
    wanted_calibration = min(held_out, MAX_HELD_OUT_IMAGES)
    wanted_validation = (
        min(round(VALIDATION_SHARE * total), MAX_VALIDATION_IMAGES) if total >= MIN_IMAGES_FOR_VALIDATION else 0
    )
    calibration: list[int] = []
    validation: list[int] = []
    train: list[int] = []
    for group in order:
        members = np.flatnonzero(groups == group).tolist()
        if len(calibration) < wanted_calibration:
            calibration += members
        elif len(validation) < wanted_validation:
            validation += members
        else:
            train += members
    as_array = [np.array(sorted(part), dtype=np.int64) for part in (train, validation or calibration, calibration)]
    return Split(as_array[0], as_array[1], as_array[2], groups)
