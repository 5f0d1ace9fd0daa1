"""A detector as an ONNX graph, with frames on which onnxruntime must give the scores that torch gives."""

import gc
import hashlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from andon_monitor.model.file import INPUT, OUTPUTS
from andon_monitor.model.golden import EXPORT_TOLERANCE, GOLDEN_GOOD, Golden, worst_difference
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked
from numpy.typing import NDArray
from onnx import ModelProto
from torch import nn
from torch.export import ExportedProgram
from torch.onnx import OnnxExporterError, ONNXProgram

from andon_trainer.augmentation.corruption import corrupt
from andon_trainer.augmentation.variation import to_float, to_levels
from andon_trainer.errors import ExportError
from andon_trainer.export.batch_size import BatchSizeError, check_batch_size, name_batch_size
from andon_trainer.export.optimisation import optimise
from andon_trainer.export.tracing import replace_operators, trace, trace_symbolically

OPSET = 20
GOLDEN_CORRUPTED_FRAMES = 2
MAX_COMPARED_FRAMES = 200  # held-out frames that torch scores, too


@dataclass(frozen=True, eq=False)
class ExportedDetector:
    """A graph with the outputs of a detector, its golden frames, and torch's scores of the first held-out frames."""

    graph: ModelProto
    golden: Golden
    reference: NDArray[np.float32]  # [n]


def export_detector(detector: nn.Module, held_out: Pixels, masked: Masked | None = None) -> ExportedDetector:
    """Export a detector of frames like these, good ones held out from it: uint8 [N, H, W, C].

    `masked`: bool [H, W], pixels that it does not look at.
    """
    graph = to_onnx(detector, held_out.shape[1:])
    golden = choose_golden(detector, held_out, masked)
    return ExportedDetector(graph, golden, torch_scores(detector, held_out[:MAX_COMPARED_FRAMES]))


def to_onnx(
    network: nn.Module,
    shape: tuple[int, ...],
    outputs: tuple[str, ...] = OUTPUTS,
    inputs: tuple[str, ...] = (INPUT,),
) -> ModelProto:
    """A network of frames of `shape` (H, W, C) as an ONNX graph.

    `inputs`: names as the network calls them, each uint8 [N, H, W, C] with N dynamic. `outputs`: names.
    """
    shapes = dict.fromkeys(inputs, shape)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), quick_tracing(network):
        warnings.simplefilter("ignore")  # about the exporter's own internals; a user can do nothing about them
        program = trace(network.eval(), shapes)
        replace_operators(program)
        try:
            exported = translate(program, inputs, outputs)
        except (OnnxExporterError, BatchSizeError):
            # Another version of torch may trace to other operators: all of it by the exporter.
            exported = translate(trace_symbolically(network, shapes), inputs, outputs)
    buffer = io.BytesIO()
    onnx.save(exported.model_proto, buffer)
    return onnx.load_from_string(buffer.getvalue())


def translate(program: ExportedProgram, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> ONNXProgram:
    """A traced program in ONNX's operators, its inputs and outputs under these names."""
    exported = torch.onnx.export(
        program,
        input_names=list(inputs),
        output_names=list(outputs),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
        optimize=False,
    )
    assert exported is not None  # as only the old exporter returns None
    name_batch_size(exported.model)
    optimise(exported.model)
    check_batch_size(exported.model)
    return exported


@contextmanager
def quick_tracing(network: nn.Module) -> Iterator[None]:
    """Without gradients and garbage collection: they cost time here and do not change the graph."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    collecting = gc.isenabled()
    network.requires_grad_(False)
    gc.disable()
    try:
        with torch.no_grad():
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        if collecting:
            gc.enable()


def weights_sha256(graph: ModelProto) -> str:
    """sha256 over names and values of all weights: the same for the same network, whatever its card says."""
    digest = hashlib.sha256()
    for tensor in sorted(graph.graph.initializer, key=lambda tensor: tensor.name):
        digest.update(tensor.name.encode())
        digest.update(np.ascontiguousarray(onnx.numpy_helper.to_array(tensor)).tobytes())
    return digest.hexdigest()


def choose_golden(detector: nn.Module, good_frames: Pixels, masked: Masked | None = None) -> Golden:
    """A few good frames (uint8 [N, H, W, C]), plain and corrupted, with the scores that torch gives them."""
    rng = np.random.default_rng(0)
    plain = good_frames[:GOLDEN_GOOD]
    corrupted = []
    for i in range(GOLDEN_CORRUPTED_FRAMES):
        frame = to_float(good_frames[i % len(good_frames)])
        changed, _ = corrupt(frame, to_float(good_frames[-1]), rng, masked)
        corrupted.append(to_levels(changed))
    frames = np.concatenate([plain, np.stack(corrupted)])
    return Golden(frames, torch_scores(detector, frames))


@torch.no_grad()
def torch_scores(detector: nn.Module, frames: Pixels) -> NDArray[np.float32]:
    """The scores torch gives frames uint8 [N, H, W, C], one at a time: float32 [N]."""
    return np.concatenate([detector(torch.from_numpy(frame[None]))[0].numpy() for frame in frames])


def check_parity(scores: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The largest relative difference between onnxruntime's `scores` and torch's `reference`, float32 [N] each.

    Raises ExportError where it is more than `EXPORT_TOLERANCE`.
    """
    difference = worst_difference(scores, reference)
    if not difference <= EXPORT_TOLERANCE:
        raise ExportError(
            f"onnxruntime's scores differ from torch's by {difference:.1e}, at most {EXPORT_TOLERANCE:.0e} is allowed; "
            "no model was written"
        )
    return difference
