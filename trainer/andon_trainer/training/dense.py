"""The dense family: the classic autoencoder of fully connected layers, for small images, and its kinds.

    784-128-64-32-64-128-784        ReLU inside, a linear code (Hinton & Salakhutdinov, Science 2006), sigmoid out

A denoising one is shown noise and asked for the clean image (Vincent et al., ICML 2008), a sparse one pays for the size
of its code (L1), a variational one for its distance from a standard normal (Kingma & Welling, ICLR 2014). A contractive
one is left out: to first order its penalty is the denoising one's (Alain & Bengio, JMLR 2014), at many times the cost.
"""

import math
from itertools import pairwise
from threading import Event

import numpy as np
import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from torch import Tensor, nn

from andon_trainer.architecture import DenseArchitecture
from andon_trainer.data.splits import Split
from andon_trainer.network.tensors import to_unit
from andon_trainer.options import TrainingOptions
from andon_trainer.progress import Progress, quiet
from andon_trainer.scoring.detector import DEVIATION, Reading
from andon_trainer.scoring.scale import Scale
from andon_trainer.training.loss import top_mean
from andon_trainer.training.schedule import Course, Fitted

WORST_SHARE = 0.004  # of the map is where a frame is worst
NOISE = 0.2  # the most that a denoising one is shown, as a share of the grey scale; each image has less, at random
SPARSITY = 1e-3  # weight of the mean size of a code's numbers, beside the loss of a pixel
SPARSE_DECAY = 1e-2  # or a sparse network would write small numbers and read them with large weights
# What a nat of the Kullback-Leibler divergence weighs beside the summed loss of the pixels: 1 for a cross-entropy, a
# likelihood as it is, and for squares as in a likelihood whose deviation is a tenth of the grey scale.
DIVERGENCE = {"bce": 1.0, "mse": 2 * 0.1**2}


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
        """What is minimised for frames `x`, and the part of it that is about rebuilding them; scalars."""
        arch, seen = self.arch, x
        if arch.kind == "denoising":
            level = NOISE * torch.rand(len(x), 1, 1, 1, generator=generator)
            seen = (x + level * torch.randn(x.shape, generator=generator)).clamp(0, 1)
        latent = self.encoder(seen.flatten(1))
        penalty = latent.new_zeros(())
        if arch.kind == "sparse":
            penalty = SPARSITY * latent.abs().mean()
        if arch.kind == "variational":
            mean, log_variance = latent.chunk(2, dim=1)
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
            penalty = DIVERGENCE[arch.loss] * divergence / arch.layers[0]
            latent = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
        logits = self.decoder(latent)
        if arch.loss == "bce":
            rebuilding = F.binary_cross_entropy_with_logits(logits, x.flatten(1))
        else:
            rebuilding = F.mse_loss(torch.sigmoid(logits), x.flatten(1))
        return rebuilding + penalty, rebuilding


def _layers(sizes: list[int] | tuple[int, ...]) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class DenseDetector(nn.Module):
    """The exported graph of a dense autoencoder: the same outputs as `scoring.detector` gives.

    Two readings of the squared error make the score: its mean, the classic one, and that of its worst places, as a
    small defect moves no mean. The anomaly map is that of the second.
    """

    def __init__(self, network: DenseAutoencoder) -> None:
        super().__init__()
        self.network = network
        self.scales: list[Scale] = []

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames uint8 [N, H, W, C] to score [N], map [N, H, W], reconstruction like the frames, latent [N, D]."""
        x = to_unit(frames)
        latent = self.network.encode(x)
        reconstruction = self.network.decode(latent)
        scaled = [
            1 + DEVIATION * scale.deviations(reading.cells)
            for reading, scale in zip(self.readings(x, reconstruction), self.scales, strict=True)
        ]
        tops = [top_mean(cells, share) for cells, share in zip(scaled, (1.0, WORST_SHARE), strict=True)]
        pixels = (reconstruction * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return torch.stack(tops).amax(dim=0), scaled[1][:, 0], pixels, latent

    def readings(self, x: Tensor, reconstruction: Tensor) -> list[Reading]:
        """How wrong each place is, unscaled, for both shares of the map that decide."""
        error = (x - reconstruction).square().mean(dim=1, keepdim=True)
        cells = F.avg_pool2d(error, 3, 1, 1, count_include_pad=False)
        return [Reading(cells, 1.0), Reading(cells, WORST_SHARE)]

    @torch.no_grad()
    def standardise(self, good_frames: Pixels) -> None:
        """Put both readings on the scale of these good frames uint8 [N, H, W, C], which the weights never saw."""
        x = to_unit(torch.from_numpy(good_frames))
        readings = self.readings(x, self.network.decode(self.network.encode(x)))
        self.scales = [Scale.of(reading.top()) for reading in readings]


def fit_dense(
    images: Pixels,
    split: Split,
    arch: DenseArchitecture,
    options: TrainingOptions,
    progress: Progress = quiet,
    interrupted: Event | None = None,
) -> tuple[DenseAutoencoder, Fitted]:
    """Train with Adam on `images[split.train]`, keep the weights that rebuilt `images[split.validation]` best.

    `images`: uint8 [N, H, W, C]. Raises FittingError as `andon_trainer.training.loop.fit` does.
    """
    course = Course(options, interrupted)
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    network = DenseAutoencoder(arch)
    decay = SPARSE_DECAY if arch.kind == "sparse" else 0.0
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=decay)
    train, held_out = (to_unit(torch.from_numpy(images[part])) for part in (split.train, split.validation))
    lowest = math.inf
    order = torch.empty(0, dtype=torch.long)
    losses: list[float] = []
    for step in course:
        for group in optimiser.param_groups:
            group["lr"] = step.learning_rate
        if not len(order):
            order = torch.randperm(len(train), generator=generator)
        chosen, order = order[: options.batch], order[options.batch :]
        total, _ = network.loss(train[chosen], generator)
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(total.detach()))
        if course.look_is_due(step):
            with torch.no_grad():
                # One noise for all looks, so that they differ by the weights alone.
                whole, rebuilding = network.loss(held_out, torch.Generator().manual_seed(20))
            look = course.add_look(step, float(np.mean(losses)), float(whole), float(rebuilding))
            losses.clear()
            if look.validation_loss < lowest:
                course.keep(look, network)
                lowest = look.validation_loss
            progress(f"loss {look.validation_loss:.4f}", step.done)
    return network, course.finish(network)


def build_dense_detector(network: DenseAutoencoder, held_out: Pixels) -> DenseDetector:
    """The whole detector from a trained network; scales from held-out good frames uint8 [N, H, W, C]."""
    detector = DenseDetector(network).eval()
    detector.standardise(held_out)
    return detector
