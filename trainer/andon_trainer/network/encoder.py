"""The encoder: an image network that was trained elsewhere and is not trained further.

It knows what surfaces, edges and materials look like before it sees the first part. One comes with Andon, see
`ENCODER`; a user may give another. `network.feature_autoencoder` rebuilds its features of good parts.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from andon_monitor.errors import UsageError
from onnx import ModelProto, numpy_helper, shape_inference
from torch import Tensor, nn

from andon_trainer.network.onnx_network import Network, OnnxNetwork, constants_of, read_onnx, without_shapes

ENCODER = Path(__file__).with_name("encoder.onnx")  # made by tools/make_encoder.py; its metadata say from what
BUILT_IN, SMALL, NONE = "built-in", "small", "none"  # instead of a path
SMALL_LAYERS = ("Relu_21:0",)  # of the built-in network: the end of its second stage, at an eighth
CELL = 16  # pixels of the encoder's frame along each side of a cell
STRIDES = (8, 16)  # of the feature maps that are taken: finer ones see noise, coarser ones no places
SIDE = 160  # of the encoder's frame, about; smaller defects are left to the other maps
MAX_ENLARGEMENT = 2.0  # smaller frames have no more detail to show
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of photographs, as most image networks want them
# Entries of a file's metadata, both JSON.
NORMALISATION_KEY = "normalisation"  # {"mean": [r, g, b], "std": [r, g, b]} for levels in 0..1
LAYERS_KEY = "layers"  # [name, ...] of the values whose maps are taken
TRIAL_SIDE = 64  # of the frame that a user's network is tried on


class Encoder(nn.Module):
    """Frames to the features of cells: those of all strides, one after the other."""

    mean: Tensor  # [1, 3, 1, 1], or [1, 1, 1, 1] of an encoder of grey frames
    std: Tensor  # the same

    def __init__(self, network: OnnxNetwork, name: str, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.register_buffer("mean", mean[None, :, None, None])
        self.register_buffer("std", std[None, :, None, None])

    def forward(self, frames: Tensor) -> Tensor:
        """Frames float [N, C, H, W] in 0..1 to features [N, F, h, w] of cells."""
        return self.features(frames, self.network)

    def in_runtime(self) -> Callable[[Tensor], Tensor]:
        """The same function with the network run by onnxruntime, for many frames. Raises UsageError."""
        network = self.network.in_runtime()
        return lambda frames: self.features(frames, network)

    def features(self, frames: Tensor, network: Network) -> Tensor:
        """Frames float [N, C, H, W] in 0..1 to features [N, F, h, w] of cells, by this way to run the network."""
        height, width = frame_size(frames.shape[2], frames.shape[3])
        frames = resize(frames, height, width)
        if frames.shape[1] < self.mean.shape[1]:
            frames = frames.expand(-1, self.mean.shape[1], -1, -1)
        maps = network((frames - self.mean) / self.std)
        size = (height // CELL, width // CELL)
        return torch.cat([to_cells(each, size) for each in maps], dim=1)


def resize(frames: Tensor, height: int, width: int) -> Tensor:
    """Frames [N, C, H, W] at another size: smaller ones are means of areas, larger ones are interpolated."""
    smaller = min(frames.shape[2] // height, frames.shape[3] // width)
    if smaller > 1:
        frames = F.avg_pool2d(frames, smaller)
    if frames.shape[2] < height or frames.shape[3] < width:
        return F.interpolate(frames, size=(height, width), mode="bilinear")
    if frames.shape[3] > width:
        frames = frames @ area_weights(frames.shape[3], width).T
    return area_weights(frames.shape[2], height) @ frames if frames.shape[2] > height else frames


def area_weights(pixels: int, smaller: int) -> Tensor:
    """The share of each of `pixels` in each pixel of a line with `smaller` of them: [smaller, pixels]."""
    # With numpy, so that the exported graph has the result alone.
    edges = np.arange(smaller + 1)[:, None] * (pixels / smaller)
    starts = np.arange(pixels)
    shared = np.minimum(edges[1:], starts + 1) - np.maximum(edges[:-1], starts)
    return torch.from_numpy((shared.clip(0) * (smaller / pixels)).astype(np.float32))


def to_cells(x: Tensor, size: tuple[int, int]) -> Tensor:
    """A feature map [N, F, h, w] with one place for each cell: the mean of its places."""
    times = x.shape[2] // size[0]
    if times > 1:
        x = F.avg_pool2d(x, times)
    return x if x.shape[2:] == size else F.interpolate(x, size=size, mode="bilinear")


def frame_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the encoder's frame for frames of this size: about `SIDE` squared, whole cells."""
    scale = min(SIDE / (height * width) ** 0.5, MAX_ENLARGEMENT)
    return max(2, round(height * scale / CELL)) * CELL, max(2, round(width * scale / CELL)) * CELL


def load_encoder(choice: str, channels: int = 3) -> Encoder | None:
    """The encoder that comes with Andon for `built-in`, its first stages for `small`, that of an ONNX file, or None.

    Of grey frames, with 1 of the `channels`, the first convolution is that of one channel where there is one.

    Raises UsageError: no readable file, an unknown operation, no usable layers, or maps that cannot be computed.
    """
    if choice == NONE:
        return None
    ours = choice in (BUILT_IN, SMALL)
    path = ENCODER if ours else Path(choice)
    model = read_onnx(path)
    mean, std = normalisation_of(model, str(path))
    try:
        layers = SMALL_LAYERS if choice == SMALL else layers_of(model, str(path))
        network = OnnxNetwork(model, layers, str(path))
        if channels == 1:
            model, mean, std = for_grey(model, network.input, mean, std)
            network = OnnxNetwork(model, layers, str(path))
    except (ValueError, TypeError) as error:  # of weights whose size is not that of their shape
        raise UsageError(f"{path}: its weights cannot be read: {error}") from None
    encoder = Encoder(network, choice if ours else path.name, mean, std).eval().requires_grad_(False)
    if not ours:
        check_encoder(encoder, str(path))
    return encoder


def for_grey(model: ModelProto, name: str, mean: Tensor, std: Tensor) -> tuple[ModelProto, Tensor, Tensor]:
    """A network of colour images, its input `name`, as one of grey ones, with their mean and standard deviation.

    The kernels of the three colours are added up: the first convolution, on the most pixels, takes a third of its time.
    At the border, where colours were padded each with its own mean, one grey is the padding. A network whose images go
    elsewhere than into one convolution stays as it is.
    """
    constants = constants_of(model.graph)
    users = [i for i, node in enumerate(model.graph.node) if name in node.input]
    first = model.graph.node[users[0]] if users else None
    if first is None or len(users) > 1 or first.op_type != "Conv" or first.input[1] not in constants:
        return model, mean, std
    kernels = constants[first.input[1]] / std[:, None, None]  # [K, 3, h, w]
    if kernels.shape[1] != len(mean):
        return model, mean, std
    grey = mean.mean()
    bias = (kernels * (grey - mean)[:, None, None]).sum(dim=(1, 2, 3))
    if len(first.input) > 2:
        bias = bias + constants[first.input[2]]
    changed = ModelProto()
    changed.CopyFrom(model)
    weights = {f"{name}_grey_kernels": kernels.sum(dim=1, keepdim=True), f"{name}_grey_bias": bias}
    changed.graph.initializer.extend(numpy_helper.from_array(each.numpy(), key) for key, each in weights.items())
    node = changed.graph.node[users[0]]
    node.ClearField("input")
    node.input.extend([name, *weights])
    return without_shapes(changed), grey[None], torch.ones(1)


def check_encoder(encoder: Encoder, name: str) -> None:
    """Raises UsageError where an encoder cannot compute finite features of a frame."""
    try:
        with torch.no_grad():
            features = encoder(torch.linspace(0, 1, TRIAL_SIDE).expand(1, 1, TRIAL_SIDE, TRIAL_SIDE))
    except (RuntimeError, ValueError, KeyError, IndexError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{name}: its features cannot be computed: {reason}") from None
    if not bool(torch.isfinite(features).all()):
        raise UsageError(f"{name}: its features of a frame are not finite numbers")


def normalisation_of(model: ModelProto, name: str) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of red, green and blue that an image network wants: [3] each. Raises UsageError."""
    given = metadata_of(model, NORMALISATION_KEY, name)
    if given is None:
        return torch.tensor(MEAN), torch.tensor(STD)
    try:
        mean, std = torch.tensor(given["mean"]).float(), torch.tensor(given["std"]).float()
    except (KeyError, TypeError, ValueError, RuntimeError):
        mean = std = torch.zeros(0)
    if not mean.shape == std.shape == (3,) or not bool((std > 0).all()) or not bool(torch.isfinite(mean / std).all()):
        raise UsageError(f'{name}: metadata {NORMALISATION_KEY}: give {{"mean": [r, g, b], "std": [r, g, b]}}')
    return mean, std


def layers_of(model: ModelProto, name: str) -> list[str]:
    """The names of the values whose maps are taken: those that the metadata name, or `choose_layers`."""
    given = metadata_of(model, LAYERS_KEY, name)
    if given is None:
        return choose_layers(model, name)
    known = {output for node in model.graph.node for output in node.output}
    if not isinstance(given, list) or not given or not all(isinstance(each, str) and each in known for each in given):
        raise UsageError(f'{name}: metadata {LAYERS_KEY}: give ["NAME", ...] of values that the network computes')
    return given


def metadata_of(model: ModelProto, key: str, name: str) -> Any:
    """What a file's metadata have under `key`, from JSON; None where they do not. Raises UsageError."""
    text = next((each.value for each in model.metadata_props if each.key == key), None)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{name}: metadata {key}: not JSON") from None


def choose_layers(model: ModelProto, name: str) -> list[str]:
    """The last value at each of `STRIDES` that an image network computes. Raises UsageError where there is none."""
    sized = without_shapes(model)
    constants = {each.name for each in sized.graph.initializer}
    for each in sized.graph.input:
        if each.name not in constants:
            for length in (1, 3, SIDE, SIDE):
                each.type.tensor_type.shape.dim.add(dim_value=length)
    try:
        graph = shape_inference.infer_shapes(sized).graph
    except Exception as error:  # of the C++ library
        raise UsageError(f"{name}: the shapes of its maps are unknown: {str(error).splitlines()[0]}") from None
    shapes = {
        each.name: [length.dim_value for length in each.type.tensor_type.shape.dim]
        for each in (*graph.value_info, *graph.output)
    }
    found: dict[int, str] = {}
    for node in graph.node:
        shape = shapes.get(node.output[0], [])
        if len(shape) == 4 and shape[0] == 1 and shape[2] == shape[3] > 0:
            found[SIDE // shape[2]] = node.output[0]
    if any(stride not in found for stride in STRIDES):
        raise UsageError(
            f"{name}: no feature maps at an eighth and a sixteenth of its images; give a convolutional image network "
            f"whose input is float [N, 3, H, W], or name maps in the metadata, under {LAYERS_KEY}"
        )
    return [found[stride] for stride in STRIDES]
