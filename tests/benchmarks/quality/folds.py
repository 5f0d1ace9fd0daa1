"""Cross-validation over whole groups: which images a fold learns from, and an AUROC whose interval knows of groups.

Photographs of one part, cells of one module, pictures of one place are a group. A method that has seen one of a group
has seen a good part of the others, so a group is on one side of a fold, and is drawn as a whole for an interval.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from andon_trainer.data.dataset import Dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.near_duplicates import group_near_duplicates
from andon_trainer.data.sample import GOOD, Sample
from numpy.typing import NDArray

CELLS_PER_MODULE = 60  # of solar cells, which are numbered module by module
# Of sets whose file names say what belongs together; near-duplicates are grouped in all others.
NAMED_GROUPS: dict[str, Callable[[Path], str]] = {
    "ballscrew": lambda path: "_".join(path.stem.split("_")[2:4]),  # the place on the screw
    "elpv_poly": lambda path: str(int(re.sub(r"\D", "", path.stem)) // CELLS_PER_MODULE),
}
BOOTSTRAP_DRAWS = 1000
INTERVAL = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Fold:
    """What one model learns from and is tested on."""

    learned: Dataset  # with no test images
    good: NDArray[np.int64]  # of all good images, those held out


@dataclass(frozen=True)
class Folds:
    """All images of a set and how they are divided."""

    good: tuple[Sample, ...]  # of train and test
    defects: tuple[Sample, ...]
    groups: NDArray[np.int64]  # [len(good)]
    defect_groups: NDArray[np.int64]
    folds: tuple[Fold, ...]


def divide(dataset: Dataset, name: str, count: int, seed: int = 0) -> Folds:
    """Divide the good images of a set, `name`, into `count` parts of whole groups, each held out from one fold."""
    good = (*dataset.train, *(sample for sample in dataset.test if sample.label == GOOD))
    defects = tuple(sample for sample in dataset.test if sample.label != GOOD)
    groups = groups_of(good, name)
    part = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups] % count
    folds = []
    for i in range(count):
        learned = tuple(replace(sample, label=GOOD) for sample, own in zip(good, part, strict=True) if own != i)
        folds.append(Fold(replace(dataset, train=learned, test=()), np.flatnonzero(part == i)))
    return Folds(good, defects, groups, groups_of(defects, name), tuple(folds))


def groups_of(samples: Sequence[Sample], name: str) -> NDArray[np.int64]:
    """The group of each image, int [N] from 0."""
    if name in NAMED_GROUPS:
        keys = [NAMED_GROUPS[name](sample.path) for sample in samples]
        return np.unique(keys, return_inverse=True)[1]
    return group_near_duplicates(load_images(samples, choose_input(samples, side=64, any_size=True)))


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """Scores of one method on one set: `good` float [G] by the fold that did not see each, `defects` [folds, D]."""

    good: NDArray[np.float64]
    fold: NDArray[np.int64]  # [G]
    defects: NDArray[np.float64]
    groups: NDArray[np.int64]
    defect_groups: NDArray[np.int64]

    @cached_property
    def above(self) -> NDArray[np.float64]:
        """Whether each defect scores above each good image, by the same model: [G, D]; ties count half."""
        difference = self.defects[self.fold] - self.good[:, None]
        return 0.5 * (np.sign(difference) + 1)

    @property
    def auroc(self) -> float:
        """Of all pairs of a good image and a defect, the share in which the defect scores higher."""
        return float(self.above.mean())

    def draws(self, seed: int = 0) -> NDArray[np.float64]:
        """AUROCs of sets drawn from this one, with replacement, group by group: [BOOTSTRAP_DRAWS]."""
        rng = np.random.default_rng(seed)
        good, defects = (
            rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), BOOTSTRAP_DRAWS)[:, groups]
            for groups, counts in (
                np.unique(g, return_inverse=True, return_counts=True)[1:] for g in (self.groups, self.defect_groups)
            )
        )
        total = good.sum(axis=1) * defects.sum(axis=1)
        return np.einsum("bg,gd,bd->b", good, self.above, defects, optimize=True) / total

    def gain_on(self, other: "CrossValidated") -> tuple[float, float]:
        """The 95 % interval of this AUROC less that of another method on the same images."""
        low, high = np.percentile(self.draws() - other.draws(), INTERVAL)
        return float(low), float(high)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the AUROC."""
        low, high = np.percentile(self.draws(), INTERVAL)
        return float(low), float(high)
