"""The encoder of a model file as a torch module, to classify kinds of defects with and to fine-tune."""

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from andon_monitor.errors import UsageError
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels, input_mask
from andon_monitor.model.mask import Masked
from numpy.typing import NDArray
from torch import Tensor, nn

from andon_trainer.architecture import Architecture
from andon_trainer.network.conv_dense import Encoder
from andon_trainer.network.onnx_network import constants_of
from andon_trainer.network.tensors import normalise, pool, to_unit

FIRST_NETWORK = "members.0."  # of several networks, the first one gives the latent vector
PREFIX = "network.encoder."
FROZEN_STAGES = 3  # the other two have two thirds of the weights and take a tenth of the time
BATCH = 16  # images


@dataclass(frozen=True)
class FrozenOutput:
    """Output of the frozen stages for N frames: features [N, P], and their last maps of frames and reconstructions."""

    features: Tensor
    frames: Tensor  # [N, w3, H/8, W/8]
    reconstructions: Tensor  # the same


class Backbone(nn.Module):
    """Features [N, F] of frames and their reconstructions, uint8 [N, H, W, C] each.

    They are the differences between the encoder's maps of the two: the largest and the smallest difference of each
    channel at the last four scales. The latent vector is of no use here: the network learned to ignore defects in it.
    """

    masked: Tensor  # bool [H, W, 1]

    def __init__(self, arch: Architecture, masked: Masked | None = None) -> None:
        """`masked`: bool [H, W], pixels of frames that are replaced by those of reconstructions."""
        super().__init__()
        self.has_mask = masked is not None
        if masked is not None:
            self.register_buffer("masked", torch.tensor(masked)[:, :, None])
        self.encoder = Encoder(arch)
        self.pooling = arch.pooling

    def forward(self, frames: Tensor, reconstructions: Tensor) -> Tensor:
        return self.finish(self.begin(self.hide(frames, reconstructions), reconstructions))

    def hide(self, frames: Tensor, reconstructions: Tensor) -> Tensor:
        """Frames uint8 [N, H, W, C] with what their reconstructions show where the model does not look."""
        return torch.where(self.masked, reconstructions, frames) if self.has_mask else frames

    def begin(self, frames: Tensor, reconstructions: Tensor) -> FrozenOutput:
        """Run the frozen stages."""
        ours, theirs = (normalise(pool(to_unit(images), self.pooling))[0] for images in (frames, reconstructions))
        features = []
        for i, stage in enumerate(self.encoder.stages[:FROZEN_STAGES]):
            ours, theirs = stage(ours), stage(theirs)
            if i:
                features.append(extremes(ours - theirs))
        return FrozenOutput(torch.cat(features, dim=1), ours, theirs)

    def finish(self, frozen: FrozenOutput) -> Tensor:
        """Run the other stages: features [N, F]."""
        features, ours, theirs = [frozen.features], frozen.frames, frozen.reconstructions
        for stage in self.encoder.stages[FROZEN_STAGES:]:
            ours, theirs = stage(ours), stage(theirs)
            features.append(extremes(ours - theirs))
        return torch.cat(features, dim=1)

    @classmethod
    def of(cls, autoencoder: Autoencoder) -> "Backbone":
        """A model's encoder with its weights. Raises UsageError for another architecture.

        Model files have batch normalisation folded into the convolutions: here it becomes the identity, apart from the
        bias, which files of earlier versions call otherwise.
        """
        backbone = cls(architecture_of(autoencoder), input_mask(autoencoder.card.input))
        graph = onnx.load_from_string(autoencoder.model.content).graph
        weights = {
            place.removeprefix(PREFIX): value
            for name, value in constants_of(graph).items()
            if (place := name.removeprefix(FIRST_NETWORK)).startswith(PREFIX)
        }
        for name, module in backbone.encoder.named_modules():
            if not isinstance(module, nn.Sequential) or len(module) != 3 or not isinstance(module[0], nn.Conv2d):
                continue
            convolution, normalisation = module[0], module[1]
            assert isinstance(normalisation, nn.BatchNorm2d)
            with torch.no_grad():
                convolution.weight.copy_(weights[f"{name}.0.weight"])
                bias = weights.get(f"{name}.0.bias")
                normalisation.bias.copy_(weights[f"{name}.0.weight_bias"] if bias is None else bias)
                normalisation.weight.fill_((1 + normalisation.eps) ** 0.5)
        return backbone.eval()


class Untrained(nn.Module):
    """The same network with random weights, which has no reconstructions to compare with.

    Frames uint8 [N, H, W, C] to features [N, F]: mean and largest value of each channel at the last four scales.
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.encoder = Encoder(arch)
        self.pooling = arch.pooling
        self.size = 2 * sum(arch.widths[1:])

    def forward(self, frames: Tensor) -> Tensor:
        pyramid = self.encoder(normalise(pool(to_unit(frames), self.pooling))[0])[1:]
        return torch.cat([pool for scale in pyramid for pool in (scale.mean((2, 3)), scale.amax((2, 3)))], dim=1)


class Views:
    """Output of the frozen stages for images and their flipped copies, computed once for all trainings.

    `frames`, `reconstructions`: uint8 [N, H, W, C]. It is kept in half precision, which takes 0.2 to 0.8 MB for an
    image of 128 to 256 pixels a side.
    """

    COUNT = 4

    @torch.no_grad()
    def __init__(self, backbone: Backbone, frames: Pixels, reconstructions: Pixels) -> None:
        self._views = []
        for view in range(self.COUNT):
            batches = [
                backbone.begin(*(flip(images[i : i + BATCH], view) for images in (frames, reconstructions)))
                for i in range(0, len(frames), BATCH)
            ]
            columns = zip(
                *((batch.features, batch.frames.half(), batch.reconstructions.half()) for batch in batches), strict=True
            )
            self._views.append(FrozenOutput(*(torch.cat(column) for column in columns)))

    def take(self, chosen: NDArray[np.int64], view: int = 0) -> FrozenOutput:
        """The output for the images at these indices; view 0 is the images as they are, see `flip`."""
        output, rows = self._views[view], torch.from_numpy(chosen)
        return FrozenOutput(output.features[rows], output.frames[rows].float(), output.reconstructions[rows].float())


def flip(frames: Pixels, view: int) -> Tensor:
    """Frames [N, H, W, C] as a tensor; `view` 0: as they are, 1: mirrored, 2: upside down, 3: both."""
    flipped = frames[:, :: -1 if view & 2 else 1, :: -1 if view & 1 else 1]
    return torch.from_numpy(np.ascontiguousarray(flipped))


def extremes(difference: Tensor) -> Tensor:
    """The largest and the smallest value of each channel: [N, C, h, w] to [N, 2C]."""
    return torch.cat([difference.amax(dim=(2, 3)), difference.amin(dim=(2, 3))], dim=1)


def architecture_of(autoencoder: Autoencoder) -> Architecture:
    """The architecture in a model's card. Raises UsageError where it is not conv-dense."""
    fields = dict(autoencoder.card.architecture)
    if fields.pop("name") != "conv-dense":
        raise UsageError(f"{autoencoder.model.path}: classify needs the conv-dense architecture, this is dense")
    known = Architecture.__dataclass_fields__
    return Architecture(**{name: value for name, value in fields.items() if name in known})
