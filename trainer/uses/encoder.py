"""The encoder of a model file as a torch module again, to train on from."""

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from monitor.autoencoder import Autoencoder
from monitor.errors import UsageError
from trainer.architecture import Architecture
from trainer.network import Encoder
from trainer.tensors import normalise, to_unit

PREFIX = "network.encoder."


class Backbone(nn.Module):
    """Frames uint8 [N, H, W, C] to features [N, F]: mean and largest value of each channel of the last four scales.

    The latent vector is of no use here: the network learned to leave defects out of it.
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.encoder = Encoder(arch)
        self.size = 2 * sum(arch.widths[1:])

    def forward(self, frames: Tensor) -> Tensor:
        pyramid = self.encoder(normalise(to_unit(frames))[0])[1:]
        means = [scale.mean(dim=3).mean(dim=2) for scale in pyramid]
        peaks = [scale.amax(dim=(2, 3)) for scale in pyramid]
        return torch.cat([*means, *peaks], dim=1)

    @classmethod
    def untrained(cls, part: Autoencoder) -> "Backbone":
        """The same network as a model's, its weights random. Raises UsageError for another architecture."""
        fields = dict(part.card.architecture)
        if fields.pop("name") != "conv-dense":
            raise UsageError(f"{part.model.path}: classify needs the conv-dense architecture, this is dense")
        known = Architecture.__dataclass_fields__
        arch = Architecture(**{name: value for name, value in fields.items() if name in known})
        return cls(arch)

    @classmethod
    def of(cls, part: Autoencoder) -> "Backbone":
        """A model's encoder with its weights.

        Export folds batch normalisation into the convolutions before it: theirs becomes the identity, with the bias.
        """
        backbone = cls.untrained(part)
        graph = onnx.load_from_string(part.model.content).graph
        weights = {
            tensor.name.removeprefix(PREFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy())
            for tensor in graph.initializer
            if tensor.name.startswith(PREFIX)
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
