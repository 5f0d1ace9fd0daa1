"""The model card: what is measured of a graph with onnxruntime, and what is known of its training."""

import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from andon_monitor.model.calibration import calibrate, supported_rate
from andon_monitor.model.card import CARD_VERSION, Card, InputSpec, Training
from andon_monitor.model.file import Model
from andon_monitor.model.imaging import Pixels, input_mask
from andon_monitor.model.runtime import onnxruntime
from numpy.typing import NDArray

from andon_trainer.data.audit import far_out
from andon_trainer.data.splits import Split, common_to, together
from andon_trainer.export.graph import ExportedDetector, check_parity, weights_sha256
from andon_trainer.export.metadata import pack
from andon_trainer.export.reference import measure_reference
from andon_trainer.options import TrainingOptions
from andon_trainer.training.device import describe_device
from andon_trainer.training.schedule import TrainedNetwork

TIMED_FRAMES = 20


def write_card(
    exported: ExportedDetector,
    held_out: Pixels,
    unseen: NDArray[np.float32] | None = None,
    *,
    name: str,
    spec: InputSpec,
    architecture: dict[str, Any],
    training: Training,
    false_alarm_rate: float | None,
    keep_outliers: bool = False,
) -> tuple[Card, float]:
    """Measure a graph with onnxruntime and write its card. Returns the card and the difference to torch's scores.

    `held_out`: uint8 [N, H, W, C], good frames; `unseen`: float32 [N], their scores by onnxruntime from networks that
    had not seen them, where the graph itself does not give these. Without a `false_alarm_rate` it is the lowest that so
    many scores support. Outliers among them are left out, see
    `data.audit.far_out`. Raises ExportError where the two runtimes differ.
    """
    reference = exported.reference
    compared, masked = held_out[: len(reference)], input_mask(spec)
    card = Card(
        card_version=CARD_VERSION,
        name=name,
        created_at=datetime.now(UTC).replace(microsecond=0),
        architecture=architecture,
        input=spec,
        calibration=calibrate(reference, false_alarm_rate or supported_rate(len(reference))),
        reference=measure_reference(reference, compared, masked),
        training=training,
        versions=versions(),
        weights_sha256=weights_sha256(exported.graph),
    )
    model = Model.from_bytes(pack(exported.graph, card, exported.golden), name, provider="cpu")
    # The threshold comes from scores of the runtime whose scores are compared with it, not of torch.
    scores = model.score(held_out if unseen is None else compared)
    parity = check_parity(scores[: len(reference)], reference)
    scores = scores if unseen is None else unseen
    used = np.ones(len(scores), np.bool_) if keep_outliers else ~far_out(scores)
    counts = {"calibration_images": int(used.sum()), "left_out": int((~used).sum())}
    measured = {
        "calibration": calibrate(scores[used], false_alarm_rate or supported_rate(int(used.sum()))),
        "reference": measure_reference(scores[used], held_out[used], masked),
        "training": training.model_copy(update=counts),
        "milliseconds_per_image": milliseconds_per_image(model, held_out),
    }
    return card.model_copy(update=measured), parity


def training_record(
    trained: TrainedNetwork, parts_of_each: Sequence[Split], fingerprint: str, options: TrainingOptions
) -> Training:
    """What the card says about the training of one network or of several, each with a split of its own."""
    parts = together(parts_of_each)
    several = len(parts_of_each) > 1
    return Training(
        images=len(parts.train),
        networks=len(parts_of_each),
        validation_images=len(parts.validation),
        calibration_images=len(parts.calibration),
        common_images=len(common_to(parts_of_each)) if several else 0,
        validation_is_calibration=bool(np.array_equal(parts.validation, parts.calibration)),
        twin_groups=int((np.bincount(parts.groups) > 1).sum()),
        fingerprint=fingerprint,
        seed=options.seed,
        iterations=trained.iterations,
        seconds=round(trained.seconds, 1),
        ended=trained.ended,
        device=describe_device(options.device),
    )


def milliseconds_per_image(model: Model, frames: Pixels) -> float:
    """The median time of scoring one frame on one thread, in milliseconds."""
    times = []
    for i in range(TIMED_FRAMES):
        frame = frames[i % len(frames)][None]
        start = time.perf_counter()
        model.score(frame)
        times.append(time.perf_counter() - start)
    return round(float(np.median(times)) * 1000, 2)


def versions() -> dict[str, str]:
    """The versions of everything that could change a score."""
    return {
        "andon": version("andon"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
    }
