"""Four ways to learn kinds of defects from a few labelled images.

frozen          a linear head on the trained encoder, which stays as it is
fine-tuned      the same, then head and last stages of the encoder together (head first: Kumar et al., ICLR 2022)
untrained       the same network without its training on good parts, trained on the labelled images alone
PCA             a linear head on principal components of good parts
"""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from andon_monitor.errors import UsageError
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels, input_mask
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from andon_trainer.options import check_name
from andon_trainer.uses.encoder import BATCH, Backbone, Untrained, Views, architecture_of, flip

PCA_COMPONENTS = 64
# (training steps, highest learning rate), whatever the number of images. Fine-tuning is slow, so that few images do not
# undo what many taught. From random weights there is farther to go; a third of this rate classified fewer images right.
FINE_TUNING = (80, 2e-4)
FROM_SCRATCH = (200, 3e-3)
WEIGHT_DECAY = 1e-2
MIN_IMAGES_PER_KIND = 4  # one for each fold of the cross-validation
INVERSE_REGULARISATION = 0.1  # scikit-learn's C of the logistic regression
MIN_RELATIVE_SPREAD = 1e-3  # a feature that varies less than this share of the most varied one is not magnified

Indices = NDArray[np.int64]
Logits = NDArray[np.float32]
Predict = Callable[[Indices], Logits]  # indices of images [n] to logits [n, K]


@dataclass(frozen=True)
class LabelledDefects:
    """Images of defects and their reconstructions, uint8 [N, H, W, C], and their kinds as numbers int [N].

    `groups`, int [N]: images of the same part are in the same group. `names`: the K kinds.
    """

    frames: Pixels
    reconstructions: Pixels
    kinds: NDArray[np.int64]
    groups: NDArray[np.int64]
    names: tuple[str, ...]


class Head(nn.Module):
    """A linear layer from standardised features to logits of K kinds, divided by a temperature."""

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
    """Encoder and head, as they are exported.

    Frames and their reconstructions, uint8 [N, H, W, C], to probabilities of kinds [N, K].
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, frames: Tensor, reconstruction: Tensor) -> Tensor:
        return torch.softmax(self.head(self.backbone(frames, reconstruction)), dim=1)


class Learner:
    """Trains each method on some of the labelled images; what all trainings share is computed once.

    `good`: uint8 [M, H, W, C], good parts for the principal components. Raises UsageError for a model without the
    convolutional encoder.
    """

    def __init__(self, autoencoder: Autoencoder, data: LabelledDefects, good: Pixels) -> None:
        self.data = data
        self._arch = architecture_of(autoencoder)
        self._backbone = Backbone.of(autoencoder)
        self._views = Views(self._backbone, data.frames, data.reconstructions)
        self._features = self._encode(self._backbone, np.arange(len(data.kinds)))
        self._components = principal_components(data.frames, good)
        self.methods: dict[str, Callable[[Indices, int], Predict]] = {
            "frozen": lambda chosen, seed: self.predictor(self.frozen(chosen)),
            "fine-tuned": lambda chosen, seed: self.predictor(self.fine_tuned(chosen, seed)),
            "untrained": self._untrained,
            "PCA": self._on_components,
        }

    def frozen(self, chosen: Indices) -> Classifier:
        """Fit a head on the encoder as it is."""
        return Classifier(self._backbone, fit_head(self._features[chosen], self.data.kinds[chosen])).eval()

    def fine_tuned(self, chosen: Indices, seed: int) -> Classifier:
        """Fit the head first, then train the head and the encoder's last stages together."""
        network = copy.deepcopy(self.frozen(chosen))
        self._train(
            network,
            chosen,
            lambda batch, view: network.head(network.backbone.finish(self._views.take(batch, view))),
            *FINE_TUNING,
            seed,
        )
        return network

    @torch.no_grad()
    def predictor(self, network: Classifier) -> Predict:
        """A function that gives the network's logits of images."""
        return lambda chosen: network.head(torch.from_numpy(self._encode(network.backbone, chosen))).detach().numpy()

    def _untrained(self, chosen: Indices, seed: int) -> Predict:
        torch.manual_seed(seed)
        body = Untrained(self._arch)
        network = nn.Sequential(body, nn.Linear(body.size, len(self.data.names)))
        network.train()
        self._train(
            network, chosen, lambda batch, view: network(flip(self.data.frames[batch], view)), *FROM_SCRATCH, seed
        )
        network.eval()

        @torch.no_grad()
        def predict(test: Indices) -> Logits:
            return np.concatenate([network(flip(self.data.frames[rows], 0)).numpy() for rows in batches(test)])

        return predict

    def _on_components(self, chosen: Indices, seed: int) -> Predict:
        head = fit_head(self._components[chosen], self.data.kinds[chosen])
        return lambda test: head(torch.from_numpy(self._components[test])).detach().numpy()

    @torch.no_grad()
    def _encode(self, backbone: Backbone, chosen: Indices) -> NDArray[np.float32]:
        return np.concatenate([backbone.finish(self._views.take(rows)).numpy() for rows in batches(chosen)])

    def _train(
        self,
        network: nn.Module,
        chosen: Indices,
        logits: Callable[[Indices, int], Tensor],
        steps: int,
        rate: float,
        seed: int,
    ) -> None:
        """Minimise the cross-entropy, with equal weight for every kind, on images flipped at random."""
        rng = np.random.default_rng(seed)
        kinds = self.data.kinds
        optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        counts = np.bincount(kinds[chosen], minlength=len(self.data.names))
        weight = torch.as_tensor(len(chosen) / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)
        size = min(BATCH, len(chosen))
        waiting = chosen[:0]
        for _ in range(steps):
            if len(waiting) < size:
                waiting = rng.permutation(chosen)
            batch, waiting = waiting[:size], waiting[size:]
            loss = F.cross_entropy(
                logits(batch, int(rng.integers(Views.COUNT))), torch.from_numpy(kinds[batch]), weight
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


def batches(chosen: Indices) -> list[Indices]:
    """The indices in batches of `BATCH`."""
    return [chosen[i : i + BATCH] for i in range(0, len(chosen), BATCH)]


def principal_components(frames: Pixels, good: Pixels) -> NDArray[np.float32]:
    """Codes [N, K] of frames by principal components of good parts; both uint8 [., H, W, C]."""
    pca = PCA(min(PCA_COMPONENTS, len(good) - 1), svd_solver="randomized", random_state=0)
    pca.fit(good.reshape(len(good), -1).astype(np.float32))
    codes: NDArray[np.float32] = pca.transform(frames.reshape(len(frames), -1).astype(np.float32))
    return codes


def fit_head(features: NDArray[np.float32], kinds: NDArray[np.int64]) -> Head:
    """Fit a linear head by regularised logistic regression, with equal weight for every kind.

    `features`: [N, F]; `kinds`: int [N].
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.maximum(spread, MIN_RELATIVE_SPREAD * spread.max() + 1e-6)
    regression = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=2000, class_weight="balanced")
    regression.fit((features - mean) / scale, kinds)
    weight, bias = regression.coef_, regression.intercept_
    if len(bias) == 1:  # for two kinds scikit-learn fits one difference
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    return Head(mean, scale, weight, bias)


def label_defects(
    autoencoder: Autoencoder, frames: Pixels, labels: Sequence[str], groups: NDArray[np.int64]
) -> LabelledDefects:
    """Images of defects uint8 [N, H, W, C] with their kinds and groups, see `LabelledDefects`.

    Raises UsageError: fewer than two kinds, or a kind with fewer than `MIN_IMAGES_PER_KIND` images.
    """
    counts = Counter(labels)
    names = tuple(sorted(counts))
    if len(names) < 2:
        raise UsageError(f"kinds of defects: {', '.join(names) or 'none'}; at least two are needed, a folder for each")
    for name, count in counts.items():
        check_name("kind", name)
        if count < MIN_IMAGES_PER_KIND:
            raise UsageError(f"{name}: {count} images, at least {MIN_IMAGES_PER_KIND} are needed to train and to test")
    kinds = np.array([names.index(label) for label in labels])
    reconstructions, masked = autoencoder.reconstruct(frames), input_mask(autoencoder.card.input)
    if masked is not None:
        frames = np.where(masked[None, :, :, None], reconstructions, frames)
    return LabelledDefects(frames, reconstructions, kinds, groups, names)
