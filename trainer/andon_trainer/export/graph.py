"""One ONNX file with everything in it: the graph, the card, the golden frames."""

import hashlib
import io
import logging
import time
import warnings

import numpy as np
import onnx
import torch
from andon_monitor.model.card import CARD_KEY, GOLDEN_KEY, Card
from andon_monitor.model.file import EXPORT_TOLERANCE, INPUT, OUTPUTS, Golden, Model, worst_difference
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray
from onnx import ModelProto
from torch import nn

from andon_trainer.augmentation.corruption import corrupt
from andon_trainer.augmentation.variation import to_float, to_levels
from andon_trainer.errors import ExportError

OPSET = 20
GOLDEN_GOOD = 2
GOLDEN_CORRUPTED = 2


def to_onnx(
    network: nn.Module,
    shape: tuple[int, ...],
    outputs: tuple[str, ...] = OUTPUTS,
    inputs: tuple[str, ...] = (INPUT,),
) -> ModelProto:
    """A network of frames of `shape` [H, W, C] as an ONNX graph.

    `inputs`, named as the network calls them, are uint8 [N, H, W, C], N dynamic; `outputs` are a detector's.
    """
    # Two frames, not one: the exporter takes a size of one for a constant.
    # One tensor for each input: the exporter takes the same tensor for the same input.
    examples = tuple(torch.zeros(2, *shape, dtype=torch.uint8) for _ in inputs)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's own internals, nothing that a user could act on
        program = torch.onnx.export(
            network.eval(),
            examples,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: {0: torch.export.Dim("N")} for name in inputs},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # as only the old exporter returns None
    buffer = io.BytesIO()
    onnx.save(program.model_proto, buffer)
    return onnx.load_from_string(buffer.getvalue())


def weights_sha256(graph: ModelProto) -> str:
    """sha256 over names and values of all weights: the same network has the same, whatever its card says."""
    digest = hashlib.sha256()
    for tensor in sorted(graph.graph.initializer, key=lambda tensor: tensor.name):
        digest.update(tensor.name.encode())
        digest.update(np.ascontiguousarray(onnx.numpy_helper.to_array(tensor)).tobytes())
    return digest.hexdigest()


def choose_golden(detector: nn.Module, good_frames: Pixels) -> Golden:
    """A few good frames (uint8 [N, H, W, C]), plain and corrupted, with the scores that torch gives them."""
    rng = np.random.default_rng(0)
    plain = good_frames[:GOLDEN_GOOD]
    corrupted = []
    for i in range(GOLDEN_CORRUPTED):
        frame = to_float(good_frames[i % len(good_frames)])
        changed, _ = corrupt(frame, to_float(good_frames[-1]), rng)
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
            f"onnxruntime's scores differ from torch's by {difference:.1e}, at most {EXPORT_TOLERANCE:.0e} is right; "
            "no model was written"
        )
    return difference


def pack(graph: ModelProto, card: Card, golden: Golden) -> bytes:
    """The content of a model file."""
    set_metadata(graph, CARD_KEY, card.model_dump_json())
    set_metadata(graph, GOLDEN_KEY, golden.pack())
    return serialise(graph)


def serialise(graph: ModelProto) -> bytes:
    """The bytes of an ONNX file."""
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def set_metadata(graph: ModelProto, key: str, value: str) -> None:
    """Set one entry of an ONNX model's metadata."""
    for entry in graph.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    graph.metadata_props.add(key=key, value=value)


def milliseconds_per_image(model: Model, frames: Pixels, rounds: int = 20) -> float:
    """The median time of scoring one frame on one thread, in milliseconds."""
    times = []
    for i in range(rounds):
        frame = frames[i % len(frames)][None]
        start = time.perf_counter()
        model.score(frame)
        times.append(time.perf_counter() - start)
    return round(float(np.median(times)) * 1000, 2)
