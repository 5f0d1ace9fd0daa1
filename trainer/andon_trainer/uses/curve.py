"""What the encoder's training on good parts is worth: kinds told right by how many labelled defects there are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from andon_trainer.progress import Progress
from andon_trainer.uses.classification import Indices, Labelled, Learner

FOLDS = 4  # of the images of each kind, one is to test with
SHOTS = (1, 5, 10)


@dataclass(frozen=True)
class Curve:
    """Balanced accuracy float [draws, shots] of each way, for so many labels of each kind."""

    shots: tuple[str, ...]
    accuracy: dict[str, NDArray[np.float64]]


def learning_curve(learner: Learner, draws: int, progress: Progress) -> Curve:
    """Train each way on 1, 5, 10 and all labelled images a kind, `draws` times; test on images of other parts."""
    data = learner.data
    fewest = int(np.bincount(data.kinds).min())
    shots = [shot for shot in SHOTS if shot < fewest * (FOLDS - 1) // FOLDS]
    names = (*map(str, shots), "all")
    accuracy = {way: np.zeros((draws, len(names))) for way in learner.ways}
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        train, test = split(data, rng)
        for i, shot in enumerate([*shots, None]):
            chosen = draw_shots(data.kinds, train, shot, rng)
            for j, (way, learn) in enumerate(learner.ways.items()):
                done = (draw * len(names) + i) * len(learner.ways) + j
                progress(f"{names[i]} labels a kind, {way}", done / (draws * len(names) * len(learner.ways)))
                predicted = learn(chosen, draw)(test).argmax(axis=1)
                accuracy[way][draw, i] = balanced_accuracy(data.kinds[test], predicted)
    return Curve(names, accuracy)


def split(data: Labelled, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Indices to train and to test with, a quarter of each kind; near-twins stay on one side."""
    train: list[int] = []
    test: list[int] = []
    for kind in range(len(data.names)):
        members = np.flatnonzero(data.kinds == kind)
        wanted = max(1, len(members) // FOLDS)
        held: list[int] = []
        for group in rng.permutation(np.unique(data.groups[members])):
            twins = members[data.groups[members] == group].tolist()
            if len(held) < wanted and len(held) + len(twins) < len(members):
                held += twins
            else:
                train += twins
        test += held
    return np.array(sorted(train)), np.array(sorted(test))


def folds(data: Labelled) -> Indices:
    """The fold of each image, int [N]: near-twins in one, each kind in as many as it has groups."""
    fold_of = np.zeros(len(data.kinds), np.int64)
    rng = np.random.default_rng(0)
    for kind in range(len(data.names)):
        members = np.flatnonzero(data.kinds == kind)
        sizes = np.zeros(FOLDS, np.int64)
        for group in rng.permutation(np.unique(data.groups[members])):
            twins = members[data.groups[members] == group]
            fold = int(sizes.argmin())
            fold_of[twins] = fold
            sizes[fold] += len(twins)
    return fold_of


def draw_shots(kinds: NDArray[np.int64], train: Indices, shot: int | None, rng: np.random.Generator) -> Indices:
    """`shot` of the training indices of each kind, or all."""
    if shot is None:
        return train
    return np.concatenate([rng.permutation(train[kinds[train] == kind])[:shot] for kind in np.unique(kinds[train])])


def balanced_accuracy(kinds: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """The mean over kinds of the share of each that was told right."""
    return float(np.mean([(predicted[kinds == kind] == kind).mean() for kind in np.unique(kinds)]))
