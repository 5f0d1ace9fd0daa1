"""The encoder of a model file as a torch module again, to tell kinds of defects with and to train on from."""

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from andon_monitor.errors import UsageError
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from andon_trainer.architecture import Architecture
from andon_trainer.network.conv_dense import Encoder
from andon_trainer.network.tensors import normalise, pool, to_unit

FIRST = "members.0."  # of several networks; what has the latent vector is the first
PREFIX = "network.encoder."
KEPT = 3  # stages that stay as they are; the other two have two thirds of the weights and a tenth of the work
BATCH = 16


@dataclass(frozen=True)
class Halfway:
    """What the stages that stay say of N frames: features [N, P], and their last maps of frame and reconstruction."""

    features: Tensor
    seen: Tensor  # [N, w3, H/8, W/8]
    rebuilt: Tensor


class Backbone(nn.Module):
    """Frames and what the model makes of them, uint8 [N, H, W, C] each, to features [N, F].

    They say how the encoder's answers to the two differ: the largest and the smallest difference of each channel of
    the last four scales. The latent vector is of no use here: the network learned to leave defects out of it.
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.encoder = Encoder(arch)
        self.pooling = arch.pooling

    def forward(self, frames: Tensor, reconstruction: Tensor) -> Tensor:
        return self.finish(self.begin(frames, reconstruction))

    def begin(self, frames: Tensor, reconstruction: Tensor) -> Halfway:
        """The stages that stay as they are."""
        seen, rebuilt = (normalise(pool(to_unit(pictures), self.pooling))[0] for pictures in (frames, reconstruction))
        found = []
        for i, stage in enumerate(self.encoder.stages[:KEPT]):
            seen, rebuilt = stage(seen), stage(rebuilt)
            if i:
                found.append(extremes(seen - rebuilt))
        return Halfway(torch.cat(found, dim=1), seen, rebuilt)

    def finish(self, half: Halfway) -> Tensor:
        """The others: features [N, F]."""
        found, seen, rebuilt = [half.features], half.seen, half.rebuilt
        for stage in self.encoder.stages[KEPT:]:
            seen, rebuilt = stage(seen), stage(rebuilt)
            found.append(extremes(seen - rebuilt))
        return torch.cat(found, dim=1)

    @classmethod
    def of(cls, part: Autoencoder) -> "Backbone":
        """A model's encoder with its weights. Raises UsageError for another architecture.

        Export folds batch normalisation into the convolutions before it: theirs becomes the identity, with the bias.
        """
        backbone = cls(architecture_of(part))
        graph = onnx.load_from_string(part.model.content).graph
        weights = {
            name.removeprefix(PREFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in graph.initializer
            if (name := tensor.name.removeprefix(FIRST)).startswith(PREFIX)
        }
        for name, module in backbone.encoder.named_modules():
            if not isinstance(module, nn.Sequential) or len(module) != 3 or not isinstance(module[0], nn.Conv2d):
                continue
            convolution, normalisation = module[0], module[1]
            assert isinstance(normalisation, nn.BatchNorm2d)
            with torch.no_grad():
                convolution.weight.copy_(weights[f"{name}.0.weight"])
                normalisation.bias.copy_(weights[f"{name}.0.weight_bias"])
                normalisation.weight.fill_((1 + normalisation.eps) ** 0.5)
        return backbone.eval()


class Untrained(nn.Module):
    """The same network with random weights. It has seen no good parts, so it has the frames alone to go by.

    Frames uint8 [N, H, W, C] to features [N, F]: mean and largest value of each channel of the last four scales.
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
    """What the stages that stay say of images and of their mirror images, computed once for all trainings.

    `frames`, `rebuilt`: uint8 [N, H, W, C]. In half precision: 0.2 to 0.8 MB an image of 128 to 256 pixels a side.
    """

    COUNT = 4

    @torch.no_grad()
    def __init__(self, backbone: Backbone, frames: Pixels, rebuilt: Pixels) -> None:
        self._views = []
        for view in range(self.COUNT):
            halves = [
                backbone.begin(*(mirror(pictures[i : i + BATCH], view) for pictures in (frames, rebuilt)))
                for i in range(0, len(frames), BATCH)
            ]
            columns = zip(*((half.features, half.seen.half(), half.rebuilt.half()) for half in halves), strict=True)
            self._views.append(Halfway(*(torch.cat(column) for column in columns)))

    def take(self, chosen: NDArray[np.int64], view: int = 0) -> Halfway:
        """Some of the images; view 0 is the images as they are."""
        half, rows = self._views[view], torch.from_numpy(chosen)
        return Halfway(half.features[rows], half.seen[rows].float(), half.rebuilt[rows].float())


def mirror(frames: Pixels, view: int) -> Tensor:
    """Frames [N, H, W, C] as a tensor: as they are, mirrored, upside down, or both, for `view` 0 to 3."""
    flipped = frames[:, :: -1 if view & 2 else 1, :: -1 if view & 1 else 1]
    return torch.from_numpy(np.ascontiguousarray(flipped))


def extremes(difference: Tensor) -> Tensor:
    """The largest and the smallest value of each channel: [N, C, h, w] to [N, 2C]."""
    return torch.cat([difference.amax(dim=(2, 3)), difference.amin(dim=(2, 3))], dim=1)


def architecture_of(part: Autoencoder) -> Architecture:
    """The sizes that a model's card gives. Raises UsageError for another architecture."""
    fields = dict(part.card.architecture)
    if fields.pop("name") != "conv-dense":
        raise UsageError(f"{part.model.path}: classify needs the conv-dense architecture, this is dense")
    known = Architecture.__dataclass_fields__
    return Architecture(**{name: value for name, value in fields.items() if name in known})
