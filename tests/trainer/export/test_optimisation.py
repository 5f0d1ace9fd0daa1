"""Weights that lose nothing by it are stored in half precision."""

import numpy as np
import onnxruntime
import torch
from andon_trainer.export.graph import to_onnx
from onnx import TensorProto
from torch import Tensor, nn


class Layers(nn.Module):
    """Two layers of pixels; the weights of the first are float16 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 128, bias=False), nn.Linear(128, 64, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(self.first.weight.half().float())

    def forward(self, frames: Tensor) -> Tensor:
        """Frames uint8 [N, 8, 8, 1] to float [N, 64]."""
        return self.second(self.first(frames.float().flatten(1)).relu())


def test_weights_that_are_float16_numbers_are_stored_so_and_others_are_not() -> None:
    torch.manual_seed(0)
    network = Layers().eval()
    graph = to_onnx(network, (8, 8, 1), outputs=("y",), inputs=("frames",))
    stored = [tensor.data_type for tensor in graph.graph.initializer if len(tensor.dims) == 2]
    assert sorted(stored) == [TensorProto.FLOAT, TensorProto.FLOAT16]
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    (answers,) = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"frames": frames})
    with torch.no_grad():
        assert np.allclose(answers, network(torch.from_numpy(frames)).numpy(), rtol=1e-4, atol=1e-3)
