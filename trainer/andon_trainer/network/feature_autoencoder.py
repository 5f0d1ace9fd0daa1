"""The dense autoencoder of an encoder's features: what it cannot rebuild, no good part has.

Features are whitened (what good parts have in common counts little, what they never show counts much), then a dense
linear autoencoder over the whole part, its principal components, rebuilds them through a narrow code: as "DFR" (Yang,
Shi & Qi, 2020) rebuilds the features of a network that was trained elsewhere, here with one code for the whole part.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from andon_trainer.network.linear import principal_components
from andon_trainer.network.tensors import round_to_bytes, round_to_half

WHITENED = 64  # features of a cell after whitening
COMPONENTS = 128  # numbers of the code
MIN_VARIANCE_SHARE = 1e-3  # of the widest direction's variance; narrower ones are noise
CELLS_PER_FRAME = 100  # drawn for whitening
MIN_STD = 1e-6
# Squared, of whitened features, whose variance is 1: a smaller error is rounding, which differs between runtimes.
MIN_ERROR = 1e-3


class FeatureAutoencoder(nn.Module):
    """How far the features of each cell are from what the code of the whole part rebuilds."""

    offset: Tensor  # [K]
    whiten: Tensor  # [K, F]
    mean: Tensor  # [K * h * w]
    components: Tensor  # [D, K * h * w], orthonormal rows

    def __init__(self, whiten: Tensor, offset: Tensor, mean: Tensor, components: Tensor) -> None:
        super().__init__()
        self.register_buffer("whiten", whiten)
        self.register_buffer("offset", offset)
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)

    @classmethod
    def fit(cls, features: Tensor, seed: int) -> "FeatureAutoencoder":
        """Fit to features float [N, F, h, w] of good parts."""
        generator = torch.Generator().manual_seed(seed)
        cells = features.flatten(2).transpose(1, 2)  # [N, h * w, F]
        count = min(CELLS_PER_FRAME, cells.shape[1])
        chosen = torch.cat([each[torch.randperm(len(each), generator=generator)[:count]] for each in cells])
        mean, std = chosen.mean(dim=0), chosen.std(dim=0).clamp_min(MIN_STD)
        standard = (chosen - mean) / std
        values, vectors = torch.linalg.eigh(standard.T @ standard / len(standard))
        values, vectors = values.flip(0)[:WHITENED], vectors.flip(1)[:, :WHITENED]
        kept = values > MIN_VARIANCE_SHARE * values[0]
        whiten = round_to_half((vectors[:, kept] / values[kept].sqrt()).T / std)
        offset = -whiten @ mean
        rows = torch.stack([(each @ whiten.T + offset).T.flatten() for each in cells])
        # A state of its own, so that the number of random draws before does not matter.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            mean, components, _ = principal_components(rows, min(COMPONENTS, len(rows) - 1, rows.shape[1]))
        return cls(whiten, offset, round_to_half(mean), round_to_bytes(components))

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, F, h, w] to the root of the mean squared error of each cell: [N, 1, h, w]."""
        count, _, height, width = features.shape
        white = F.conv2d(features, self.whiten[:, :, None, None], self.offset)
        rows = white.flatten(1) - self.mean
        missed = rows - rows @ self.components.T @ self.components
        error = missed.reshape(count, -1, height * width).square().mean(dim=1)
        return (error + MIN_ERROR).sqrt().reshape(count, 1, height, width)
