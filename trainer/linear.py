"""The linear half of the autoencoder: principal components, the best dense autoencoder that needs no training.

A dense autoencoder without activations learns the subspace of the principal components (Baldi & Hornik, 1989), which a
singular value decomposition gives in seconds. On parts under a fixed camera it rebuilds all that position, tilt and
light do to the picture, so that the convolutional half starts from a difference that already means something.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monitor.imaging import Pixels
from trainer.architecture import Architecture
from trainer.corruption import to_float, vary
from trainer.tensors import normalise

FRAMES = 1500  # varied good frames to fit to; more move the components by less than a seed does
# A difference is told in standard deviations of the place it is at. Places where good parts hardly vary are given this
# share of the typical deviation all the same, or sensor noise there would outweigh every defect.
DEVIATION_FLOOR = 0.25
LARGEST = 10.0  # deviations; beyond, a defect is plain and larger numbers would only upset the head


class LinearAutoencoder(nn.Module):
    """Half-size frames to components and back, and their difference in deviations of each place."""

    mean: Tensor  # [C * H/2 * W/2]
    components: Tensor  # [K, C * H/2 * W/2], orthonormal rows
    scale: Tensor  # [K] deviation of good frames along each component
    offset: Tensor  # [C, H/2, W/2] mean difference of good frames the components were not fitted to
    deviation: Tensor  # [C, H/2, W/2] its standard deviation

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.shape = (arch.channels, arch.height // 2, arch.width // 2)
        count = self.shape[0] * self.shape[1] * self.shape[2]
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("components", torch.zeros(arch.components, count))
        self.register_buffer("scale", torch.ones(arch.components))
        self.register_buffer("offset", torch.zeros(self.shape))
        self.register_buffer("deviation", torch.ones(self.shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised frames [N, C, H, W] to components [N, K], reconstruction and difference, each [N, C, H/2, W/2]."""
        half = F.avg_pool2d(x, 2)
        code = F.linear(half.flatten(1) - self.mean, self.components)  # [N, K]
        rebuilt = (F.linear(code, self.components.T) + self.mean).reshape(-1, *self.shape)
        difference = (half - rebuilt - self.offset) / self.deviation
        return code / self.scale, rebuilt, difference.clamp(-LARGEST, LARGEST)

    @torch.no_grad()
    def fit(self, images: Pixels, seed: int) -> None:
        """Fit to good images uint8 [N, H, W, C].

        The components come from all of them, the deviations from a cross-fit: each half of the images is rebuilt from
        components of the other half, as a difference to frames that were fitted to would be too small.
        """
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        halves = np.array_split(rng.permutation(len(images)), 2)
        frames = [self._frames(images[half], FRAMES // 2, rng) for half in halves]  # 2 x [n, C * H/2 * W/2]
        total, square, count = torch.zeros_like(self.mean), torch.zeros_like(self.mean), 0
        for fitted, other in ((frames[0], frames[1]), (frames[1], frames[0])):
            mean, components, _ = principal_components(fitted, len(self.components))
            difference = (other - mean) - (other - mean) @ components.T @ components
            total += difference.sum(dim=0)
            square += difference.square().sum(dim=0)
            count += len(other)
        offset = total / count
        deviation = (square / count - offset.square()).clamp_min(0).sqrt()
        self.offset.copy_(offset.reshape(self.shape))
        self.deviation.copy_((deviation + DEVIATION_FLOOR * deviation.mean()).reshape(self.shape))
        mean, components, scale = principal_components(torch.cat(frames), len(self.components))
        self.mean.copy_(mean)
        self.components.copy_(components)
        self.scale.copy_(scale)

    def _frames(self, images: Pixels, count: int, rng: np.random.Generator) -> Tensor:
        varied = [vary(to_float(images[i % len(images)]), rng) for i in range(count)]
        batches = [torch.from_numpy(np.stack(varied[i : i + 64])).permute(0, 3, 1, 2) for i in range(0, count, 64)]
        return torch.cat([F.avg_pool2d(normalise(batch)[0], 2).flatten(1) for batch in batches])


def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [P], the first `count` principal components [count, P] and the deviations along them, of rows [N, P]."""
    mean = rows.mean(dim=0)
    # Randomised (Halko, Martinsson & Tropp, 2011): a few more directions than asked for make the first ones exact.
    _, values, vectors = torch.svd_lowrank(rows - mean, q=count + 16, niter=3)
    return mean, vectors[:, :count].T.contiguous(), (values[:count] / len(rows) ** 0.5).clamp_min(1e-6)
