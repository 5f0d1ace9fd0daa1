"""The linear (PCA) branch of the autoencoder: principal components, the best dense autoencoder without activations.

A dense autoencoder without activations learns the subspace of the principal components (Baldi & Hornik, 1989), which a
singular value decomposition gives in seconds. On parts under a fixed camera it reconstructs everything that position,
tilt and light do to the picture, so that the convolutional branch starts from a meaningful difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray
from torch import Tensor, nn

from andon_trainer.architecture import Architecture
from andon_trainer.augmentation.variation import Variation, to_float, vary
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.tensors import normalise

FOLDS = 4
FRAMES_PER_FOLD = 400  # varied good frames to fit to; more of them change the components less than another seed does
# How much aligned parts are varied, as shares of the usual variation. Registered parts hardly move, and many images
# show how the light varies: more variation would hide defects in deviations that no real part has. Few images show
# less, so they are moved more.
MOVED, MOVED_OF_FEW_IMAGES = 0.1, 0.25
MANY_IMAGES = 100
LIT, DEGRADED = 0.25, 0.2
# The linear branch is used where it reconstructs at least this share of the fine detail of parts that it was not fitted
# to. On aligned parts it is 80 to 99 %; on textures, where position means little, the branch would mislead the head.
MIN_ALIGNED_SHARE = 2 / 3
# Where the squared error of mirrored good parts is less than this many times that of the parts as they are, a mirrored
# part is a good part, too: textures reach 1 to 1.8, parts with a left and a right 2.5 and more.
MAX_MIRROR_ERROR = 2.0
# A difference is given in standard deviations of its place. This share of the typical deviation is added everywhere, or
# sensor noise in places where good parts hardly vary would outweigh every defect.
DEVIATION_FLOOR_SHARE = 0.25
MAX_DEVIATIONS = 10.0  # beyond, a defect is obvious, and larger numbers would only disturb the head
FINE_DETAIL_PIXELS = 4  # half-size pixels along each side, below which structure is fine detail
EXTRA_DIRECTIONS = 16  # of the randomised decomposition: they make the wanted components exact
BATCH_FRAMES = 50


class LinearOutput(NamedTuple):
    """What the linear autoencoder gives for N frames."""

    code: Tensor  # [N, K] components, in deviations of good frames
    reconstruction: Tensor  # [N, C, H/2, W/2]
    difference: Tensor  # [N, C, H/2, W/2] frame less reconstruction, in deviations of each place


class LinearAutoencoder(nn.Module):
    """Half-size frames to components and back, and their difference in deviations of each place."""

    mean: Tensor  # [C * H/2 * W/2]
    components: Tensor  # [K, C * H/2 * W/2], orthonormal rows
    scale: Tensor  # [K] deviation of good frames along each component
    offset: Tensor  # [C, H/2, W/2] mean difference of good frames that the components were not fitted to
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

    def forward(self, x: Tensor) -> LinearOutput:
        """Normalised frames float [N, C, H, W], to components, reconstruction and difference."""
        code = self.encode(x)
        rebuilt = self.decode(code)
        return LinearOutput(code, rebuilt, self.compare(x, rebuilt))

    def encode(self, x: Tensor) -> Tensor:
        """Normalised frames float [N, C, H, W] to components [N, K], in deviations of good frames."""
        return F.linear(F.avg_pool2d(x, 2).flatten(1) - self.mean, self.components) / self.scale

    def decode(self, code: Tensor) -> Tensor:
        """Components [N, K] to frames at half size, [N, C, H/2, W/2]."""
        return (F.linear(code * self.scale, self.components.T) + self.mean).reshape(-1, *self.shape)

    def compare(self, x: Tensor, rebuilt: Tensor) -> Tensor:
        """Normalised frames less their reconstruction, in deviations of each place: [N, C, H/2, W/2]."""
        difference = (F.avg_pool2d(x, 2) - rebuilt - self.offset) / self.deviation
        return difference.clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)

    def missed(self, rows: Tensor) -> Tensor:
        """What the components leave of half-size frames [N, C * H/2 * W/2], same shape."""
        centred = rows - self.mean
        return centred - centred @ self.components.T @ self.components

    def set_components(self, rows: Tensor) -> None:
        """Fit to frames [N, C * H/2 * W/2]."""
        mean, components, scale = principal_components(rows, len(self.components))
        self.mean.copy_(mean)
        self.components.copy_(components)
        self.scale.copy_(scale)


@dataclass(frozen=True)
class CrossFit:
    """Linear autoencoders for the training: each image is reconstructed by one that was not fitted to it.

    Frames that an autoencoder was fitted to are reconstructed too well. A head trained on such differences would take
    those of every new part for defects; with these it learns how much a difference means, which on textures is little.
    """

    folds: list[LinearAutoencoder]
    fold_of: NDArray[np.int64]  # [N] for each training image the autoencoder that has not seen it
    explained: float  # share of the variance of fine detail that such an autoencoder reconstructs
    mirrored: bool  # whether a mirrored good part is a good part
    flipped: bool  # and one that is upside down

    @property
    def aligned(self) -> bool:
        """Whether the parts lie alike, so that the linear branch is useful."""
        return self.explained >= MIN_ALIGNED_SHARE

    @property
    def texture(self) -> bool:
        """Whether good parts look the same upside down and mirrored."""
        return self.mirrored and self.flipped

    @property
    def variation(self) -> Variation:
        """The harmless changes that suit these parts."""
        if self.aligned:
            return aligned_variation(len(self.fold_of))
        return Variation(mirrored=self.mirrored, flipped=self.flipped)

    @torch.no_grad()
    def __call__(self, x: Tensor, images: Sequence[int]) -> LinearOutput:
        """Normalised frames float [N, C, H, W] of training images `images` (N of them) through the branch."""
        parts = [self.folds[self.fold_of[image]](x[i : i + 1]) for i, image in enumerate(images)]
        return LinearOutput(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def to(self, device: torch.device) -> "CrossFit":
        """The same on another device."""
        return replace(self, folds=[fold.to(device) for fold in self.folds])


def aligned_variation(images: int) -> Variation:
    """The harmless changes of aligned parts, given their number of images."""
    return Variation(moved=MOVED_OF_FEW_IMAGES if images < MANY_IMAGES else MOVED, lit=LIT, degraded=DEGRADED)


@torch.no_grad()
def fit_linear(
    images: Pixels, groups: NDArray[np.int64], arch: Architecture, seed: int, mask: FrameMask | None = None
) -> tuple[LinearAutoencoder, CrossFit]:
    """Fit to good images uint8 [N, H, W, C] under a mask; images of one group (int [N]) are in one fold."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    names, membership = np.unique(groups, return_inverse=True)
    fold_of = (rng.permutation(len(names)) % FOLDS)[membership]
    variation = aligned_variation(len(images))
    frames = [varied_frames(images[fold_of == fold], rng, variation, mask) for fold in range(FOLDS)]
    folds = []
    total, square = torch.zeros_like(frames[0][0]), torch.zeros_like(frames[0][0])
    detail, missed = 0.0, 0.0
    errors = torch.zeros(3)  # squared: as they are, mirrored, upside down
    for fold in range(FOLDS):
        linear = LinearAutoencoder(arch)
        linear.set_components(torch.cat([rows for other, rows in enumerate(frames) if other != fold]))
        difference = linear.missed(frames[fold])
        pictures = frames[fold].reshape(-1, *linear.shape)
        for i, turned in enumerate((pictures, pictures.flip(3), pictures.flip(2))):
            errors[i] += linear.missed(turned.flatten(1)).square().mean()
        detail += float(fine_detail(pictures).square().mean())
        missed += float(fine_detail(difference.reshape(-1, *linear.shape)).square().mean())
        total += difference.sum(dim=0)
        square += difference.square().sum(dim=0)
        folds.append(linear)
    whole = LinearAutoencoder(arch)
    whole.set_components(torch.cat(frames))
    count = FOLDS * FRAMES_PER_FOLD
    offset = total / count
    deviation = (square / count - offset.square()).clamp_min(0).sqrt()
    for linear in (*folds, whole):
        linear.offset.copy_(offset.reshape(linear.shape))
        linear.deviation.copy_((deviation + DEVIATION_FLOOR_SHARE * deviation.mean()).reshape(linear.shape))
    mirrored, flipped = (errors[1:] < MAX_MIRROR_ERROR * errors[0]).tolist()
    return whole, CrossFit(folds, fold_of, 1 - missed / detail, mirrored, flipped)


def fine_detail(frames: Tensor) -> Tensor:
    """Frames [N, C, h, w] less themselves at a quarter of the size: edges and texture without shape and light."""
    coarse = F.avg_pool2d(frames, FINE_DETAIL_PIXELS, ceil_mode=True, count_include_pad=False)
    return frames - F.interpolate(coarse, size=frames.shape[-2:], mode="bilinear")


def varied_frames(
    images: Pixels, rng: np.random.Generator, variation: Variation, mask: FrameMask | None = None
) -> Tensor:
    """`FRAMES_PER_FOLD` varied frames of images uint8 [N, H, W, C] at half size: float [FRAMES_PER_FOLD, C*H/2*W/2]."""
    batches = []
    for start in range(0, FRAMES_PER_FOLD, BATCH_FRAMES):
        end = min(start + BATCH_FRAMES, FRAMES_PER_FOLD)
        varied = [vary(to_float(images[i % len(images)]), rng, variation) for i in range(start, end)]
        unit = torch.from_numpy(np.stack(varied)).permute(0, 3, 1, 2)
        frames = normalise(unit if mask is None else mask(unit)[0])[0]
        batches.append(F.avg_pool2d(frames, 2).flatten(1))
    return torch.cat(batches)


def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [P], the first `count` principal components [count, P] and the deviations along them, of rows [N, P]."""
    mean = rows.mean(dim=0)
    # Randomised (Halko, Martinsson & Tropp, 2011).
    _, values, vectors = torch.svd_lowrank(rows - mean, q=count + EXTRA_DIRECTIONS, niter=3)
    return mean, vectors[:, :count].T.contiguous(), (values[:count] / len(rows) ** 0.5).clamp_min(1e-6)
