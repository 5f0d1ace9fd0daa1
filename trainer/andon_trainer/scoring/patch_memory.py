"""A memory of the features of good parts, patch by patch (Roth et al., "PatchCore", CVPR 2022)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Means of clusters stand for all patches: 8,192 patches, the farthest from each other, take eight times as long and
# tell hardly more (docs/developer/what-lost.md).
CLUSTERS = 1024
# Of texture features of parts that are no texture: in a quarter of the time as good on the sample and on ball screws.
PART_CLUSTERS = 256
DRAWN_PATCHES = 30_000  # at random, from which the clusters are found
CLUSTERING_ROUNDS = 12
BLUR_SIGMA = 0.7  # cells
MIN_VARIANCE_SHARE = 1e-3  # of the widest direction's variance, added to all


class PatchMemory(nn.Module):
    """Distances to the nearest of the features that good parts have, after whitening.

    The nearest of M patches is found by one matrix product with the patches last: onnxruntime finds the smallest of
    neighbours in memory four times as fast as the smallest over channels. The whitened features have a last one that is
    always 1, so that the product adds the patches' squares, too: as an addition of its own that would take a fifth of
    the time.
    """

    blur: Tensor

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.whiten = nn.Conv2d(features, features + 1, kernel_size=1)
        self.compare = nn.Linear(features + 1, size, bias=False)
        blur = torch.tensor([math.exp(-0.5 * (d / BLUR_SIGMA) ** 2) for d in (-1, 0, 1)])
        kernel = torch.outer(blur, blur) / blur.sum() ** 2
        self.register_buffer("blur", kernel[None, None])

    @classmethod
    @torch.no_grad()
    def fit(
        cls, features: Tensor, seed: int, inspected: Tensor | None = None, clusters: int | None = None
    ) -> "PatchMemory":
        """Whiten and choose patches: features float [N, F, h, w] of good frames; of `inspected` cells [N, 1, h, w].

        `clusters`: how many patches, `CLUSTERS` by default.
        """
        generator = torch.Generator().manual_seed(seed)
        flat = features.permute(0, 2, 3, 1).flatten(0, 2)  # [N*h*w, F]
        if inspected is not None:
            flat = flat[inspected.flatten()]
        mean = flat.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov((flat - mean).T))
        # Whitening must not blow up directions in which good parts hardly vary.
        turn = (vectors / (values.clamp_min(0) + MIN_VARIANCE_SHARE * values.max()).sqrt()).T  # [F, F]
        drawn = flat[torch.randperm(len(flat), generator=generator)[:DRAWN_PATCHES]]
        patches = cluster_means((drawn - mean) @ turn.T, clusters or CLUSTERS)
        memory = cls(features.shape[1], len(patches))
        one = torch.ones(1)
        memory.whiten.weight.copy_(F.pad(turn, (0, 0, 0, 1))[:, :, None, None])
        memory.whiten.bias.copy_(torch.cat([-turn @ mean, one]))  # type: ignore[union-attr]
        # |f - p|^2 = |f|^2 - 2 f.p + |p|^2: the product gives the last two terms.
        memory.compare.weight.copy_(torch.cat([-2 * patches, patches.square().sum(dim=1, keepdim=True)], dim=1))
        return memory

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, F, h, w] to distances [N, 1, h, w]."""
        white = self.whiten(features)  # [N, F + 1, h, w]
        places = white.flatten(2).transpose(1, 2)  # [N, h * w, F + 1]
        nearest = self.compare(places).amin(dim=2).unflatten(1, (1, *white.shape[2:]))  # [N, 1, h, w]
        squared = (white.square().sum(dim=1, keepdim=True) - 1 + nearest).clamp_min(0)
        # Near zero the sum above is rounding noise, which a root would magnify; one unit is a small distance here.
        distance = (squared + 1).sqrt()
        return F.conv2d(F.pad(distance, (1, 1, 1, 1), mode="replicate"), self.blur)


def cluster_means(points: Tensor, count: int) -> Tensor:
    """Means of at most `count` clusters of `points` [n, F], which are in random order (k-means, Lloyd 1982): [., F]."""
    means = points[:count].clone()
    if len(points) <= count:
        return means
    for _ in range(CLUSTERING_ROUNDS):
        nearest = torch.addmm(means.square().sum(dim=1), points, means.T, alpha=-2).argmin(dim=1)
        sizes = torch.zeros(count).index_add_(0, nearest, torch.ones(len(points)))
        sums = torch.zeros_like(means).index_add_(0, nearest, points)
        filled = sizes > 0
        means[filled] = sums[filled] / sizes[filled, None]
    return means
