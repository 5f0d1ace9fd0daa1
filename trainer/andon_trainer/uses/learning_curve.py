"""How well kinds of defects are classified from few labelled images, with and without the training on good parts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from andon_trainer.progress import Progress
from andon_trainer.uses import drawing
from andon_trainer.uses.learner import Indices, LabelledDefects, Learner

FOLDS = 4  # of the images of each kind; one fold is held out to test with
SHOTS = (1, 5, 10)  # labelled images of each kind


@dataclass(frozen=True)
class LearningCurve:
    """Balanced accuracy of each method, float [draws, shots], by the number of labelled images of each kind."""

    shots: tuple[str, ...]
    accuracy: dict[str, NDArray[np.float64]]


def measure_learning_curve(learner: Learner, draws: int, progress: Progress) -> LearningCurve:
    """Train each method on 1, 5, 10 and all labelled images of each kind, and test it on images of other parts.

    This is repeated `draws` times, each time with other images.
    """
    data = learner.data
    fewest = int(np.bincount(data.kinds).min())
    shots = [shot for shot in SHOTS if shot < fewest * (FOLDS - 1) // FOLDS]
    names = (*map(str, shots), "all")
    trainings = draws * len(names) * len(learner.methods)
    accuracy = {method: np.zeros((draws, len(names))) for method in learner.methods}
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        train, test = split(data, rng)
        for i, shot in enumerate([*shots, None]):
            chosen = draw_shots(data.kinds, train, shot, rng)
            for j, (method, learn) in enumerate(learner.methods.items()):
                done = (draw * len(names) + i) * len(learner.methods) + j
                progress(f"{method}, {names[i]} images of each kind", done / trainings)
                predicted = learn(chosen, draw)(test).argmax(axis=1)
                accuracy[method][draw, i] = balanced_accuracy(data.kinds[test], predicted)
    return LearningCurve(names, accuracy)


def split(data: LabelledDefects, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Indices to train and to test with, a quarter of each kind; images of the same part stay on one side."""
    train: list[int] = []
    test: list[int] = []
    for kind in range(len(data.names)):
        members = np.flatnonzero(data.kinds == kind)
        wanted = max(1, len(members) // FOLDS)
        held_out: list[int] = []
        for group in rng.permutation(np.unique(data.groups[members])):
            same_part = members[data.groups[members] == group].tolist()
            if len(held_out) < wanted and len(held_out) + len(same_part) < len(members):
                held_out += same_part
            else:
                train += same_part
        test += held_out
    return np.array(sorted(train)), np.array(sorted(test))


def folds(data: LabelledDefects) -> Indices:
    """The fold of each image, int [N]: images of the same part in one fold, each kind spread over the folds."""
    fold_of = np.zeros(len(data.kinds), np.int64)
    rng = np.random.default_rng(0)
    for kind in range(len(data.names)):
        members = np.flatnonzero(data.kinds == kind)
        sizes = np.zeros(FOLDS, np.int64)
        for group in rng.permutation(np.unique(data.groups[members])):
            same_part = members[data.groups[members] == group]
            fold = int(sizes.argmin())
            fold_of[same_part] = fold
            sizes[fold] += len(same_part)
    return fold_of


def draw_shots(kinds: NDArray[np.int64], train: Indices, shot: int | None, rng: np.random.Generator) -> Indices:
    """`shot` of the training indices of each kind at random; all where it is None."""
    if shot is None:
        return train
    return np.concatenate([rng.permutation(train[kinds[train] == kind])[:shot] for kind in np.unique(kinds[train])])


def balanced_accuracy(kinds: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """The share of images classified right, averaged over the kinds."""
    return float(np.mean([(predicted[kinds == kind] == kind).mean() for kind in np.unique(kinds)]))


def draw(path: Path, curve: LearningCurve, kinds: int) -> None:
    """Draw the balanced accuracy of each method over the number of labelled images as a PNG file."""
    lines = {method: (values.mean(axis=0), values.std(axis=0)) for method, values in curve.accuracy.items()}
    axes = ("labelled images of each kind", "classified right, mean over kinds (%)")
    drawing.curves(path, curve.shots, lines, axes, 1 / kinds)
