"""A memory of the features of good parts, patch by patch (Roth et al., "PatchCore", CVPR 2022)."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The more patches are kept, the fewer good ones seem new, and the more distances are computed: about this many for a
# frame, so that the memory costs less than the network at every resolution.
DISTANCES_PER_FRAME = 2**21
MIN_PATCHES, MAX_PATCHES = 1024, 8192  # in a memory
DRAWN_PER_PATCH = 10  # patches drawn at random for each one that is kept
CANDIDATES = 256  # farthest points among which the next ones are chosen
BLUR_SIGMA = 0.7  # cells
MIN_VARIANCE_SHARE = 1e-3  # of the widest direction's variance, added to all


class PatchMemory(nn.Module):
    """Distances to the nearest of the features that good parts have, after whitening.

    The nearest of M patches is found by one matrix product with the patches last: onnxruntime finds the smallest of
    neighbours in memory four times as fast as the smallest over channels, which took a third of the whole time.
    """

    blur: Tensor

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.whiten = nn.Conv2d(features, features, kernel_size=1)
        self.compare = nn.Linear(features, size)
        blur = torch.tensor([math.exp(-0.5 * (d / BLUR_SIGMA) ** 2) for d in (-1, 0, 1)])
        kernel = torch.outer(blur, blur) / blur.sum() ** 2
        self.register_buffer("blur", kernel[None, None])

    @classmethod
    def fit(cls, features: Tensor, seed: int, inspected: Tensor | None = None) -> "PatchMemory":
        """Whiten and choose patches: features float [N, F, h, w] of good frames; of `inspected` cells [N, 1, h, w]."""
        cells = features.shape[2] * features.shape[3]
        size = min(max(DISTANCES_PER_FRAME // cells, MIN_PATCHES), MAX_PATCHES)
        generator = torch.Generator().manual_seed(seed)
        flat = features.permute(0, 2, 3, 1).flatten(0, 2)  # [N*h*w, F]
        if inspected is not None:
            flat = flat[inspected.flatten()]
        mean = flat.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov((flat - mean).T))
        # Whitening must not blow up directions in which good parts hardly vary.
        turn = (vectors / (values.clamp_min(0) + MIN_VARIANCE_SHARE * values.max()).sqrt()).T  # [F, F]
        drawn = flat[torch.randperm(len(flat), generator=generator)[: DRAWN_PER_PATCH * size]]
        patches = farthest_points((drawn - mean) @ turn.T, min(size, len(drawn)))
        memory = cls(features.shape[1], len(patches))
        with torch.no_grad():
            memory.whiten.weight.copy_(turn[:, :, None, None])
            memory.whiten.bias.copy_(-turn @ mean)  # type: ignore[union-attr]
            # |f - p|^2 = |f|^2 - 2 f.p + |p|^2: the product gives the last two terms.
            memory.compare.weight.copy_(-2 * patches)
            memory.compare.bias.copy_(patches.square().sum(dim=1))
        return memory

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, F, h, w] to distances [N, 1, h, w]."""
        white = self.whiten(features)
        places = white.flatten(2).transpose(1, 2)  # [N, h * w, F]
        nearest = self.compare(places).amin(dim=2).unflatten(1, (1, *white.shape[2:]))  # [N, 1, h, w]
        squared = (white.square().sum(dim=1, keepdim=True) + nearest).clamp_min(0)
        # Near zero the sum above is rounding noise, which a root would magnify; one unit is a small distance here.
        distance = (squared + 1).sqrt()
        return F.conv2d(F.pad(distance, (1, 1, 1, 1), mode="replicate"), self.blur)


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Choose `count` of `points` [n, F], each the farthest from those before (greedy k-centre, Gonzalez 1985).

    Distances to the chosen ones only become smaller. So as long as the farthest candidate is farther than every other
    point was at the start of a round, it is the farthest of all, and the other points' distances are updated once a
    round, in one matrix product.
    """
    squares = points.square().sum(dim=1)

    def squared_distance_to_nearest(of: Tensor) -> Tensor:
        return squares + torch.addmm(squares[of], points, points[of].T, alpha=-2).amin(dim=1)

    chosen = torch.zeros(1, dtype=torch.long)
    nearest = squared_distance_to_nearest(chosen)
    nearest[chosen] = 0  # rounding must not choose a point twice
    while len(chosen) < count:
        farthest, candidates = nearest.topk(min(CANDIDATES, len(points)))
        distances, rest = farthest.numpy().copy(), float(farthest[-1])
        some = points[candidates]
        between = (squares[candidates][:, None] + squares[candidates] - 2 * some @ some.T).numpy()
        new: list[int] = []
        while len(chosen) + len(new) < count:
            i = int(distances.argmax())
            if new and distances[i] <= rest:
                break
            new.append(i)
            np.minimum(distances, between[i], out=distances)
            distances[i] = 0
        picked = candidates[new]
        nearest = torch.minimum(nearest, squared_distance_to_nearest(picked))
        nearest[picked] = 0
        chosen = torch.cat([chosen, picked])
    return points[chosen]
