"""An image network from an ONNX file as a torch module, so that it becomes a part of the graph that is exported.

Only what convolutional image networks are made of is known, see `OPERATIONS`. Weights are buffers: nothing trains them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from andon_monitor.common.files import read_within
from andon_monitor.errors import UsageError
from andon_monitor.model.runtime import onnxruntime
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

Attributes = dict[str, Any]
Network = Callable[[Tensor], list[Tensor]]  # images float [N, 3, H, W] to feature maps [N, ., h, w]
Operation = Callable[[list[Tensor], Attributes], Tensor]
MAX_FILE_BYTES = 2**29  # of an image network: as of a model file


class OnnxNetwork(nn.Module):
    """The values `outputs` of an ONNX graph with one input, float [N, 3, H, W]; only the nodes that they need are run.

    Raises UsageError, which names the operation, where the graph has one that is not known.
    """

    def __init__(self, model: ModelProto, outputs: Sequence[str], name: str = "the encoder") -> None:
        super().__init__()
        self.model = model
        graph = model.graph
        if any(each.data_location == TensorProto.EXTERNAL for each in graph.initializer):
            raise UsageError(f"{name}: its weights are in other files; save it as one file")
        constants = {each.name: tensor_of(numpy_helper.to_array(each)) for each in graph.initializer}
        inputs = [each.name for each in graph.input if each.name not in constants]
        if len(inputs) != 1:
            raise UsageError(f"{name}: the network has {len(inputs)} inputs; give one with images as its only input")
        self.name, self.input, self.outputs = name, inputs[0], tuple(outputs)
        nodes = [node for node in needed(graph.node, outputs) if not fold(node, constants)]
        for node in nodes:
            if node.op_type not in OPERATIONS:
                raise UsageError(
                    f"{name}: the network has an operation {node.op_type}; known are {', '.join(sorted(OPERATIONS))}"
                )
        self.steps = [(node.op_type, tuple(node.input), node.output[0], attributes_of(node)) for node in nodes]
        used = dict.fromkeys(each for _, given, _, _ in self.steps for each in given if each in constants)
        self.places = {each: f"weight{i}" for i, each in enumerate(used)}
        for each, place in self.places.items():
            self.register_buffer(place, constants[each])

    def values(self, x: Tensor) -> dict[str, Tensor]:
        """Every value that is computed for images float [N, 3, H, W], by its name in the graph."""
        known = {name: self.get_buffer(place) for name, place in self.places.items()} | {self.input: x}
        for operation, given, output, attributes in self.steps:
            known[output] = OPERATIONS[operation]([known[name] for name in given if name], attributes)
        return known

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images float [N, 3, H, W] to feature maps [N, ., h, w], one for each output."""
        known = self.values(x)
        return [known[name] for name in self.outputs]

    def in_runtime(self) -> Network:
        """The same function by onnxruntime, which takes a third of torch's time, on as many threads.

        Raises UsageError where onnxruntime cannot open the graph.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what is wrong is raised
        try:
            session = onnxruntime.InferenceSession(self.with_outputs().SerializeToString(), options)
        except Exception as error:  # of the C++ library
            raise UsageError(f"{self.name}: onnxruntime cannot run it: {str(error).splitlines()[0]}") from None
        return lambda x: [torch.from_numpy(each) for each in session.run(None, {self.input: x.numpy()})]

    def with_outputs(self) -> ModelProto:
        """The graph of any batch, height and width whose outputs are those of this network."""
        model = without_shapes(self.model)
        del model.graph.output[:]
        model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in self.outputs)
        return model


def read_onnx(path: Path) -> ModelProto:
    """Read an ONNX file. Raises UsageError."""
    try:
        return onnx.load_from_string(read_within(path, MAX_FILE_BYTES))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give an ONNX file, built-in or none") from None
    except DecodeError as error:
        raise UsageError(f"{path}: not an ONNX file: {error}; give one, built-in or none") from None


def without_shapes(model: ModelProto) -> ModelProto:
    """A copy in which the sizes of images and of what is computed from them are not fixed."""
    free = ModelProto()
    free.CopyFrom(model)
    constants = {each.name for each in free.graph.initializer}
    for each in (*free.graph.input, *free.graph.output):
        if each.name not in constants:
            each.type.tensor_type.ClearField("shape")
    del free.graph.value_info[:]
    return free


def needed(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """The nodes that these outputs are computed from, in their order."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def constants_of(graph: GraphProto) -> dict[str, Tensor]:
    """Every constant of a graph, by its name: as it is stored, and what operators on constants make of it."""
    constants = {each.name: tensor_of(numpy_helper.to_array(each)) for each in graph.initializer}
    for node in graph.node:
        fold(node, constants)
    return constants


def fold(node: NodeProto, constants: dict[str, Tensor]) -> bool:
    """Whether a node is a constant; it is then added to the constants."""
    if node.op_type == "Constant":
        constants[node.output[0]] = tensor_of(numpy_helper.to_array(attributes_of(node)["value"]))
    elif node.op_type in ("Cast", "Identity") and node.input[0] in constants:
        value, to_float = constants[node.input[0]], attributes_of(node).get("to") == TensorProto.FLOAT
        constants[node.output[0]] = value.float() if to_float else value
    elif node.op_type == "Mul" and all(each in constants for each in node.input):
        constants[node.output[0]] = constants[node.input[0]] * constants[node.input[1]]
    else:
        return False
    return True


def tensor_of(array: Any) -> Tensor:
    """A constant as a tensor, numbers of any precision as float32."""
    wide = array.astype(np.float32) if array.dtype.kind == "f" else np.array(array)
    return torch.from_numpy(np.ascontiguousarray(wide)).reshape(wide.shape)


def attributes_of(node: NodeProto) -> Attributes:
    """The attributes of a node by their names."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def padded(x: Tensor, attributes: Attributes, value: float = 0.0) -> Tensor:
    """Maps with the border that a node asks for. Raises UsageError where it leaves that to the runtime."""
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise UsageError(
            f"the encoder pads automatically ({attributes['auto_pad'].decode()}); give sizes of the border"
        )
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    return F.pad(x, (left, right, top, bottom), value=value) if top or left or bottom or right else x


def convolve(given: list[Tensor], attributes: Attributes) -> Tensor:
    x, weight, *bias = given
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    inside = (top, left) == (bottom, right) and "auto_pad" not in attributes
    return F.conv2d(
        x if inside else padded(x, attributes),
        weight,
        bias[0] if bias else None,
        stride=tuple(attributes.get("strides", (1, 1))),
        padding=(top, left) if inside else 0,
        dilation=tuple(attributes.get("dilations", (1, 1))),
        groups=attributes.get("group", 1),
    )


def pool_largest(given: list[Tensor], attributes: Attributes) -> Tensor:
    x = padded(given[0], attributes, value=-torch.inf)
    size, strides = tuple(attributes["kernel_shape"]), tuple(attributes.get("strides", (1, 1)))
    return F.max_pool2d(x, size, strides, ceil_mode=bool(attributes.get("ceil_mode", 0)))


def pool_mean(given: list[Tensor], attributes: Attributes) -> Tensor:
    size, strides = tuple(attributes["kernel_shape"]), tuple(attributes.get("strides", (1, 1)))
    return F.avg_pool2d(padded(given[0], attributes), size, strides)


def normalise_channels(given: list[Tensor], attributes: Attributes) -> Tensor:
    x, scale, offset, mean, variance = given
    return F.batch_norm(x, mean, variance, scale, offset, eps=attributes.get("epsilon", 1e-5))


def clip(given: list[Tensor], attributes: Attributes) -> Tensor:
    x, *limits = given
    low, high = (float(limit) for limit in limits) if limits else (attributes["min"], attributes["max"])
    return x.clamp(low, high)


OPERATIONS: dict[str, Operation] = {
    "Add": lambda given, _: given[0] + given[1],
    "AveragePool": pool_mean,
    "BatchNormalization": normalise_channels,
    "Clip": clip,
    "Concat": lambda given, attributes: torch.cat(given, dim=attributes["axis"]),
    "Conv": convolve,
    "GlobalAveragePool": lambda given, _: given[0].mean(dim=(2, 3), keepdim=True),
    "HardSigmoid": lambda given, a: (a.get("alpha", 0.2) * given[0] + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda given, _: given[0] * (given[0] / 6 + 0.5).clamp(0, 1),  # the monitor knows no such operator
    "Identity": lambda given, _: given[0],
    "LeakyRelu": lambda given, attributes: F.leaky_relu(given[0], attributes.get("alpha", 0.01)),
    "MaxPool": pool_largest,
    "Mul": lambda given, _: given[0] * given[1],
    "Relu": lambda given, _: F.relu(given[0]),
    "Sigmoid": lambda given, _: torch.sigmoid(given[0]),
}
