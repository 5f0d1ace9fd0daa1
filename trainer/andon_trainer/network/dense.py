"""The dense family: the classic autoencoder of fully connected layers for small images, and its kinds.

    784-128-64-32-64-128-784        ReLU inside, a linear code (Hinton & Salakhutdinov, Science 2006), sigmoid out

A denoising one gets noisy images and must return the clean ones (Vincent et al., ICML 2008), a sparse one pays for the
size of its code (L1), a variational one for its distance from a standard normal (Kingma & Welling, ICLR 2014). There is
no contractive one: to first order its penalty is the denoising one's (Alain & Bengio, JMLR 2014), at many times the
cost.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from andon_trainer.architecture import DenseArchitecture

MAX_NOISE = 0.2  # standard deviation, as a share of the grey scale; each image of a denoising one gets less, at random
SPARSITY_WEIGHT = 1e-3  # of the mean size of a code's numbers, where the loss of a pixel has weight 1
# The weight of a nat of Kullback-Leibler divergence, where the summed loss of the pixels has weight 1. A cross-entropy
# is a likelihood as it is; a squared error is one with a standard deviation of a tenth of the grey scale.
DIVERGENCE_WEIGHT = {"bce": 1.0, "mse": 2 * 0.1**2}


class DenseAutoencoder(nn.Module):
    """Frames float [N, C, H, W] in 0..1 to latent vectors [N, D] and back."""

    def __init__(self, arch: DenseArchitecture) -> None:
        super().__init__()
        self.arch = arch
        self.shape = (arch.channels, arch.height, arch.width)
        narrowest = arch.layers.index(arch.latent)
        down, up = list(arch.layers[: narrowest + 1]), arch.layers[narrowest:]
        if arch.kind == "variational":
            down[-1] *= 2  # mean and logarithm of the variance
        self.encoder = _layers(down)
        self.decoder = _layers(up)

    def encode(self, x: Tensor) -> Tensor:
        """Frames to latent vectors; a variational one's are the means."""
        code: Tensor = self.encoder(x.flatten(1))
        return code[:, : self.arch.latent]

    def decode(self, latent: Tensor) -> Tensor:
        """Latent vectors to frames."""
        return torch.sigmoid(self.decoder(latent)).reshape(-1, *self.shape)

    def loss(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The loss for frames `x` float [N, C, H, W] in 0..1, and the reconstruction's part of it; scalars."""
        arch, shown = self.arch, x
        if arch.kind == "denoising":
            level = MAX_NOISE * torch.rand(len(x), 1, 1, 1, generator=generator)
            shown = (x + level * torch.randn(x.shape, generator=generator)).clamp(0, 1)
        latent = self.encoder(shown.flatten(1))
        penalty = latent.new_zeros(())
        if arch.kind == "sparse":
            penalty = SPARSITY_WEIGHT * latent.abs().mean()
        if arch.kind == "variational":
            mean, log_variance = latent.chunk(2, dim=1)
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
            penalty = DIVERGENCE_WEIGHT[arch.loss] * divergence / arch.layers[0]
            latent = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
        logits = self.decoder(latent)
        if arch.loss == "bce":
            reconstruction = F.binary_cross_entropy_with_logits(logits, x.flatten(1))
        else:
            reconstruction = F.mse_loss(torch.sigmoid(logits), x.flatten(1))
        return reconstruction + penalty, reconstruction


def _layers(sizes: list[int] | tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
