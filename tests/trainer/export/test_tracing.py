"""Operators that the exporter cannot translate, and what it does with others."""

import numpy as np
import pytest
import torch
from andon_monitor.model.runtime import onnxruntime
from andon_trainer.export.graph import to_onnx
from torch import Tensor, nn
from torch.export import ExportedProgram


class Replaced(nn.Module):
    """One of each operator that is replaced."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm2d(2)
        self.norm.running_mean, self.norm.running_var = torch.randn(2), torch.rand(2)
        self.weights = nn.Parameter(torch.randn(3, 2))

    def forward(self, frames: Tensor) -> Tensor:
        x = self.norm(frames.permute(0, 3, 1, 2).float().to(frames.device) / 255)
        x = torch.relu_(x).mean(dim=(2, 3)) * torch.tensor([2.0, 3.0])
        return x.square() @ self.weights.T


class ChangedInPlace(Replaced):
    """A ReLU in place of a tensor that is read by another name."""

    def forward(self, frames: Tensor) -> Tensor:
        x = self.norm(frames.permute(0, 3, 1, 2).float() / 255)
        rows = x.flatten(2)
        torch.relu_(x)
        return rows.mean(dim=2)


class Counting(Replaced):
    """Shapes and numbers that come from the batch size."""

    def forward(self, frames: Tensor) -> Tensor:
        count, height, width, channels = frames.shape
        rows = frames.reshape(count * height, width * channels).float()
        places = torch.arange(count * width).reshape(count, 1, width).expand(count, height, width)
        return rows.reshape(count, height, -1).sum(dim=2) + places.float().mean(dim=2)


class Divided(Replaced):
    """A number of the batch size among tensors, which no shape has."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames.float().mean(dim=(2, 3)) / frames.shape[0]


@pytest.mark.parametrize(
    ("network", "tracings"), [(Replaced(), 0), (Counting(), 0), (Divided(), 1), (ChangedInPlace(), 1)]
)
def test_a_graph_is_of_any_batch_size_and_what_cannot_be_replaced_is_traced_again(
    network: nn.Module, tracings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, traced = ExportedProgram.run_decompositions, []

    def count(program: ExportedProgram, *arguments) -> ExportedProgram:
        traced.append(program)
        return original(program, *arguments)

    monkeypatch.setattr(ExportedProgram, "run_decompositions", count)
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 2), dtype=np.uint8)
    graph = to_onnx(network, frames.shape[1:], ("score",))
    assert len(traced) == tracings
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    with torch.no_grad():
        expected = network(torch.from_numpy(frames)).numpy()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["score"], {"frames": frames})[0], expected, rtol=1e-5)
