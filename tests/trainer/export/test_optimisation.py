"""Weights that lose nothing by it are stored with fewer bits, and pooling adds its own border."""

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from andon_trainer.export.graph import to_onnx
from andon_trainer.network.tensors import round_to_bytes, round_to_half
from onnx import TensorProto
from torch import Tensor, nn


class Layers(nn.Module):
    """Three layers of pixels; the weights of the first are float16 numbers, those of the second rows of bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 128, bias=False), nn.Linear(128, 64, bias=False)
        self.third = nn.Linear(64, 256, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(round_to_half(self.first.weight))
            self.second.weight.copy_(round_to_bytes(self.second.weight * torch.logspace(-3, 1, 64)[:, None]))

    def forward(self, frames: Tensor) -> Tensor:
        """Frames uint8 [N, 8, 8, 1] to float [N, 256]."""
        return self.third(self.second(self.first(frames.float().flatten(1)).relu()))


def test_weights_are_stored_with_fewer_bits_where_that_is_exact() -> None:
    torch.manual_seed(0)
    network = Layers().eval()
    graph = to_onnx(network, (8, 8, 1), outputs=("y",), inputs=("frames",))
    stored = [tensor.data_type for tensor in graph.graph.initializer if np.prod(tensor.dims) > 4096]
    assert sorted(stored) == [TensorProto.FLOAT, TensorProto.INT8, TensorProto.FLOAT16]
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    (answers,) = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"frames": frames})
    with torch.no_grad():
        assert np.allclose(answers, network(torch.from_numpy(frames)).numpy(), rtol=1e-4, atol=1e-2)


class Pooling(nn.Module):
    """A border on two sides, as some frameworks pad, then the largest of 3 x 3."""

    def forward(self, frames: Tensor) -> Tensor:
        """Frames uint8 [N, 8, 8, 1] to float [N, 1, 4, 4]."""
        return F.max_pool2d(F.pad(frames.permute(0, 3, 1, 2).float() - 300, (0, 1, 0, 1), value=-torch.inf), 3, 2)


def test_pooling_adds_its_own_border() -> None:
    graph = to_onnx(Pooling().eval(), (8, 8, 1), outputs=("y",), inputs=("frames",))
    assert "Pad" not in {node.op_type for node in graph.graph.node}
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    (answers,) = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"frames": frames})
    assert np.array_equal(answers, Pooling()(torch.from_numpy(frames)).numpy())


def test_a_file_says_nothing_of_the_source_that_it_was_traced_from() -> None:
    content = to_onnx(Pooling().eval(), (8, 8, 1), outputs=("y",), inputs=("frames",)).SerializeToString()
    assert b".py" not in content
    assert b"namespace" not in content
