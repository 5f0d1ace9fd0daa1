"""Kinds of defects from a few labelled images: a head on the encoder, and what the encoder's training is worth to it.

Four ways are compared on the same images, from one labelled defect of each kind to all there are:

    frozen          a linear head on what the trained encoder says, the encoder as it is
    fine-tuned      head and encoder trained on, from there (head first: Kumar et al., ICLR 2022)
    from scratch    the same network without the training on good parts
    PCA             a linear head on principal components of good parts
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from monitor.autoencoder import Autoencoder
from monitor.errors import UsageError
from monitor.imaging import Pixels
from trainer.uses.encoder import Backbone

PCA_NUMBERS = 64
STEPS = 80  # of training, whatever the number of images: few images are seen often
BATCH = 16
LEARNING_RATE = 1e-3
FINE_TUNING_RATE = 2e-4  # small, so that few images do not undo what many taught
WEIGHT_DECAY = 1e-2
FOLDS = 4  # of the images of each kind, one is to test with
SHOTS = (1, 5, 10)
WAYS = ("frozen", "fine-tuned", "from scratch", "PCA")

Progress = Callable[[float, str], None]


class Head(nn.Module):
    """Standardised features to logits of K kinds, divided by a temperature."""

    mean: Tensor
    scale: Tensor
    temperature: Tensor

    def __init__(self, mean: ArrayLike, scale: ArrayLike, weight: ArrayLike, bias: ArrayLike) -> None:
        """`mean`, `scale`: [F]; `weight`: [K, F]; `bias`: [K]."""
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(np.asarray(mean), dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(np.asarray(scale), dtype=torch.float32))
        self.register_buffer("temperature", torch.ones(()))
        self.linear = nn.Linear(len(self.mean), len(np.asarray(bias)))
        with torch.no_grad():
            self.linear.weight.copy_(torch.as_tensor(np.asarray(weight)))
            self.linear.bias.copy_(torch.as_tensor(np.asarray(bias)))

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, F] to logits [N, K]."""
        logits: Tensor = self.linear((features - self.mean) / self.scale)
        return logits / self.temperature


class Classifier(nn.Module):
    """The exported graph: frames uint8 [N, H, W, C] to the probabilities of K kinds, float [N, K]."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, frames: Tensor) -> Tensor:
        return torch.softmax(self.logits(frames), dim=1)

    def logits(self, frames: Tensor) -> Tensor:
        """Logits [N, K]."""
        return self.head(self.backbone(frames))


@dataclass(frozen=True)
class Labelled:
    """Defects: frames uint8 [N, H, W, C], their kind as a number int [N], and groups of near-twins int [N]."""

    frames: Pixels
    kinds: NDArray[np.int64]
    groups: NDArray[np.int64]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Curve:
    """Balanced accuracy by way and number of labels of each kind: [draws] each."""

    shots: tuple[str, ...]
    accuracy: dict[str, list[NDArray[np.float64]]]


def learning_curve(part: Autoencoder, data: Labelled, good: Pixels, draws: int, progress: Progress) -> Curve:
    """Train each way on 1, 5, 10 and all labelled images a kind, `draws` times; test on images of other parts.

    `good`: uint8 [M, H, W, C], good parts for the principal components.
    """
    fewest = int(np.bincount(data.kinds).min())
    shots = [shot for shot in SHOTS if shot < fewest * (FOLDS - 1) // FOLDS]
    names = (*map(str, shots), "all")
    accuracy: dict[str, list[list[float]]] = {way: [[] for _ in names] for way in WAYS}
    backbone = Backbone.of(part)
    trained = features_of(backbone, data.frames)
    reduced = principal(data.frames, good)
    done, total = 0, draws * len(names)
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        train, test = split(data, rng)
        for i, shot in enumerate([*shots, None]):
            chosen = draw_shots(data.kinds, train, shot, rng)
            predicted = {
                "frozen": logistic(trained[chosen], data.kinds[chosen])(trained[test]),
                "PCA": logistic(reduced[chosen], data.kinds[chosen])(reduced[test]),
                "fine-tuned": predict(fine_tune(part, data, chosen, draw), data.frames[test]),
                "from scratch": predict(train_from_scratch(part, data, chosen, draw), data.frames[test]),
            }
            for way in WAYS:
                accuracy[way][i].append(balanced_accuracy(data.kinds[test], predicted[way].argmax(axis=1)))
            done += 1
            progress(done / total, f"{names[i]} labels a kind")
    return Curve(names, {way: [np.array(values) for values in rows] for way, rows in accuracy.items()})


def split(data: Labelled, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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


def draw_shots(
    kinds: NDArray[np.int64], train: NDArray[np.int64], shot: int | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """`shot` of the training indices of each kind, or all."""
    if shot is None:
        return train
    return np.concatenate([rng.permutation(train[kinds[train] == kind])[:shot] for kind in np.unique(kinds[train])])


@torch.no_grad()
def features_of(backbone: Backbone, frames: Pixels) -> NDArray[np.float32]:
    """What the encoder says about frames uint8 [N, H, W, C]: float32 [N, F]."""
    backbone.eval()
    return np.concatenate(
        [backbone(torch.from_numpy(frames[i : i + BATCH])).numpy() for i in range(0, len(frames), BATCH)]
    )


def principal(frames: Pixels, good: Pixels) -> NDArray[np.float32]:
    """Codes of frames by principal components of good parts, [N, K]."""
    pca = PCA(min(PCA_NUMBERS, len(good) - 1), svd_solver="randomized", random_state=0)
    pca.fit(good.reshape(len(good), -1).astype(np.float32))
    codes: NDArray[np.float32] = pca.transform(frames.reshape(len(frames), -1).astype(np.float32))
    return codes


def fit_head(features: NDArray[np.float32], kinds: NDArray[np.int64], strength: float = 0.1) -> Head:
    """A linear head by regularised logistic regression, every kind weighing the same whatever its number of images."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.maximum(spread, 1e-3 * spread.max() + 1e-6)
    regression = LogisticRegression(C=strength, max_iter=2000, class_weight="balanced")
    regression.fit((features - mean) / scale, kinds)
    weight, bias = regression.coef_, regression.intercept_
    if len(bias) == 1:  # two kinds are one difference to scikit-learn
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    return Head(mean, scale, weight, bias)


def logistic(
    features: NDArray[np.float32], kinds: NDArray[np.int64]
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A trained head as a function of features."""
    head = fit_head(features, kinds)

    @torch.no_grad()
    def apply(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return head(torch.from_numpy(rows)).numpy()

    return apply


def fine_tune(part: Autoencoder, data: Labelled, chosen: NDArray[np.int64], seed: int) -> Classifier:
    """Head first, then head and encoder together."""
    backbone = Backbone.of(part)
    head = fit_head(features_of(backbone, data.frames[chosen]), data.kinds[chosen])
    return train(Classifier(backbone, head), data, chosen, FINE_TUNING_RATE, seed, normalise_batches=False)


def train_from_scratch(part: Autoencoder, data: Labelled, chosen: NDArray[np.int64], seed: int) -> Classifier:
    """The same network, its weights random."""
    torch.manual_seed(seed)
    backbone = Backbone.untrained(part)
    count = backbone.size
    weight = torch.randn(len(data.names), count) / count**0.5
    head = Head(np.zeros(count), np.ones(count), weight.numpy(), np.zeros(len(data.names)))
    return train(Classifier(backbone, head), data, chosen, LEARNING_RATE, seed, normalise_batches=True)


def train(
    network: Classifier, data: Labelled, chosen: NDArray[np.int64], rate: float, seed: int, normalise_batches: bool
) -> Classifier:
    """Cross-entropy over all weights, on images mirrored and turned upside down at random.

    `normalise_batches`: whether batch normalisation learns from these images, or keeps what good parts taught it.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    counts = np.bincount(data.kinds[chosen], minlength=len(data.names))
    weight = torch.as_tensor(len(chosen) / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    network.train(normalise_batches)
    waiting: list[int] = []
    for _ in range(STEPS):
        if len(waiting) < min(BATCH, len(chosen)):
            waiting += rng.permutation(chosen).tolist()
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        frames = data.frames[batch]
        if rng.random() < 0.5:
            frames = frames[:, :, ::-1]
        if rng.random() < 0.5:
            frames = frames[:, ::-1]
        logits = network.logits(torch.from_numpy(np.ascontiguousarray(frames)))
        loss = F.cross_entropy(logits, torch.from_numpy(data.kinds[batch]), weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def predict(network: Classifier, frames: Pixels) -> NDArray[np.float32]:
    """Logits float32 [N, K] of frames uint8 [N, H, W, C]."""
    return np.concatenate(
        [network.logits(torch.from_numpy(frames[i : i + BATCH])).numpy() for i in range(0, len(frames), BATCH)]
    )


def balanced_accuracy(kinds: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """The mean over kinds of the share of each that was told right."""
    return float(np.mean([(predicted[kinds == kind] == kind).mean() for kind in np.unique(kinds)]))


def labelled(frames: Pixels, labels: Sequence[str], groups: NDArray[np.int64], least: int = 4) -> Labelled:
    """Defects and their kinds. Raises UsageError: one kind alone, or one with too few images to hold any out."""
    counts = Counter(labels)
    names = tuple(sorted(counts))
    if len(names) < 2:
        raise UsageError(f"kinds of defects: {', '.join(names) or 'none'}; at least two are needed, a folder for each")
    for name, count in counts.items():
        if count < least:
            raise UsageError(f"{name}: {count} images, at least {least} are needed to try some that were not learned")
    return Labelled(frames, np.array([names.index(label) for label in labels]), groups, names)
