"""What is learned from and what is held out: near-twins on one side, and over several networks every image once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from andon_monitor.model.calibration import MIN_CALIBRATION_IMAGES
from numpy.typing import NDArray

VALIDATION_MIN_IMAGES = 1000  # from so many on, some are held out for validation alone
CALIBRATION_LEAST, CALIBRATION_MOST = 4, 1200  # images held out for calibration from one network
HELD_OUT_FROM_ALL = 0.05  # of the images, `MIN_CALIBRATION_IMAGES` at least, where there are several networks
HELD_OUT_FROM_ALL_MIN_IMAGES = 10 * MIN_CALIBRATION_IMAGES


@dataclass(frozen=True)
class Split:
    """Indices into the training images. `validation` may be the same as `calibration`.

    `groups` is the group of near-twins of every image, int [N]; each group is on one side.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]
    groups: NDArray[np.int64]


def split(groups: NDArray[np.int64], seed: int) -> Split:
    """Hold out a fifth of the images for calibration (at most 1,200) and, of many, a tenth for validation.

    `groups`: int [N] as `find_twins` gives them; a group is never divided. Of fewer than VALIDATION_MIN_IMAGES the
    held-out ones serve for both: what the network has never seen limits it more than the choice among a few looks, all
    late in the training, moves the threshold.
    """
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    return _split(groups, order, max(round(0.2 * len(groups)), CALIBRATION_LEAST))


def splits(groups: NDArray[np.int64], seed: int, count: int) -> tuple[Split, ...]:
    """Split `count` times, each time holding out another third of the images, or less where `count` is more than three.

    So there is a network to say of each image what it makes of it unseen. Of many images a few are held out each time:
    what all networks together say of them tells how much less they go astray than one alone. One split is as `split`
    does it; there are fewer than `count` where images are too few or groups too large.
    """
    total = len(groups)
    shares = min(max(count, 3), total // CALIBRATION_LEAST)
    if count == 1 or shares < 2:
        return (split(groups, seed),)
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)[order]
    common = 0
    if total >= HELD_OUT_FROM_ALL_MIN_IMAGES:
        common = int(np.searchsorted(sizes.cumsum(), max(HELD_OUT_FROM_ALL * total, MIN_CALIBRATION_IMAGES))) + 1
    always, others, sizes = order[:common], order[common:], sizes[common:]
    middles = sizes.cumsum() - sizes / 2
    share = middles * shares // max(sizes.sum(), 1)
    found = []
    for i in range(min(count, shares)):
        own, rest = others[share == i], others[share != i]
        held_out = np.concatenate([always, own])
        wanted = int(np.isin(groups, held_out).sum())
        if len(own) and wanted >= CALIBRATION_LEAST and total - wanted >= total / 3:
            found.append(_split(groups, np.concatenate([held_out, rest]), wanted))
    return tuple(found) or (split(groups, seed),)


def common_to(parts: Sequence[Split]) -> NDArray[np.int64]:
    """The images, int [n], that are held out for calibration in all of these splits."""
    return reduce(np.intersect1d, [part.calibration for part in parts])


def together(parts: Sequence[Split]) -> Split:
    """What is learned from, stopped by and calibrated on in any of these splits of the same images."""
    train, validation, calibration = (
        np.unique(np.concatenate(indices))
        for indices in zip(*((part.train, part.validation, part.calibration) for part in parts), strict=True)
    )
    return Split(train, validation, calibration, parts[0].groups)


def _split(groups: NDArray[np.int64], order: NDArray[np.int64], held_out: int) -> Split:
    total = len(groups)
    wanted_calibration = min(held_out, CALIBRATION_MOST)
    wanted_validation = min(round(0.1 * total), 200) if total >= VALIDATION_MIN_IMAGES else 0
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
