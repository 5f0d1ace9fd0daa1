"""From a folder of good parts to a model file: what `andon-trainer fit` and `calibrate` do, without the console."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from andon_monitor.model import imaging
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.card import CARD_KEY, CARD_VERSION, Card, InputSpec, Reference, Spread, Training
from andon_monitor.model.file import Golden, Model
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.runtime import onnxruntime
from numpy.typing import ArrayLike, NDArray

from andon_trainer.data.audit import Audit, audit, far_out
from andon_trainer.data.dataset import (
    GOOD,
    Dataset,
    Sample,
    choose_input,
    fingerprint,
    good_samples,
    load_images,
    open_dataset,
)
from andon_trainer.data.near_duplicates import find_twins
from andon_trainer.data.splits import Split, common_to, together
from andon_trainer.evaluation import Evaluation, evaluate
from andon_trainer.export import graph as export
from andon_trainer.options import FitOptions, TrainingOptions
from andon_trainer.progress import Progress, quiet
from andon_trainer.training.device import choose_device, describe_device, use_threads
from andon_trainer.training.ensemble import conv_dense, scores_of_unseen, train
from andon_trainer.training.resolution import PART_SIDES, load_at_best_size
from andon_trainer.training.schedule import Fitted
from andon_trainer.training.timing import seconds_per_step

# What remains to be done after the training (memory, export, calibration, evaluation, report) takes this share of the
# budget, and no more than this many seconds.
RESERVED_SHARE = 0.15
RESERVED_SECONDS = 60.0
CHECKED_MOST = 200  # held-out frames that torch scores, too


@dataclass(frozen=True)
class FitResult:
    """A finished model and what its report is made of."""

    content: bytes
    model: Model
    fitted: Fitted
    evaluation: Evaluation | None
    audit: Audit
    held_out: Pixels  # uint8 [N, H, W, C], the calibration frames
    parity: float


def fit(
    data: str | Path | Dataset,
    options: FitOptions | None = None,
    *,
    progress: Progress = quiet,
    interrupted: Event | None = None,
) -> FitResult:
    """Train, calibrate, export, verify and, where there are test images, evaluate.

    `data`: a folder or array file of good parts, see `data.dataset.open_dataset`, or what that found. `interrupted`
    ends the training when it is set; what was learned until then is kept.

    Raises UsageError (the options, the images), FittingError and ExportError.
    """
    options = options or FitOptions()
    dataset = data if isinstance(data, Dataset) else open_dataset(Path(data))
    samples = good_samples(dataset)
    device = choose_device(options)
    use_threads(options, device, progress)
    reserved = min(RESERVED_SHARE * options.budget, RESERVED_SECONDS)
    training = replace(options.training, budget=options.budget - reserved, device=device)
    spec, pooling, images, twins = load(samples, options, training, progress)
    trained = train(images, twins, spec, pooling, options, training, progress, interrupted)
    parts = together(trained.splits)
    held_out = images[parts.calibration]
    progress("exporting", 0.0)
    graph = export.to_onnx(trained.detector, held_out.shape[1:])
    golden = export.choose_golden(trained.detector, held_out)
    reference = export.torch_scores(trained.detector, held_out[:CHECKED_MOST])
    progress("calibrating", 0.0)
    unseen = scores_of_unseen(trained, graph, images)
    card, parity = write_card(
        graph,
        golden,
        held_out,
        reference,
        unseen[parts.calibration],
        name=options.name,
        spec=spec,
        architecture=trained.architecture,
        training=training_record(samples, trained.fitted, trained.splits, training),
        false_alarm_rate=options.false_alarm_rate,
        keep_outliers=options.keep_outliers,
    )
    model = Model.from_bytes(export.pack(graph, card, golden), options.name, provider="cpu", threads=0)
    progress("looking through the images", 0.0)
    tested = [sample for sample in dataset.test if sample.label == GOOD]
    scores, seen = unseen.copy(), np.isnan(unseen)
    if seen.any():
        scores[seen] = model.score(images[seen])
    tested_images = load_images(tested, spec)
    audited = audit(samples, images, parts, scores, tested, tested_images, trained.poses)
    card = card.model_copy(update={"training": card.training.model_copy(update=audited.counts())})
    evaluation = None
    if dataset.test:
        evaluation = evaluate(model, dataset.test, progress)
        card = card.model_copy(update={"metrics": evaluation.headline()})
    content = export.pack(graph, card, golden)
    finished = Model.from_bytes(content, options.name, provider="cpu")
    return FitResult(content, finished, trained.fitted, evaluation, audited, held_out, parity)


def load(
    samples: Sequence[Sample], options: FitOptions, training: TrainingOptions, progress: Progress
) -> tuple[InputSpec, int, Pixels, NDArray[np.int64]]:
    """Choose the input and load the images for it.

    Returns the input, how much of it is pooled, the images uint8 [N, H, W, C], and the group of twins of each.
    """
    if not options.is_dense and options.side is None:

        def input_of(side: int) -> InputSpec:
            return choose_input(samples, side, options.colour, options.region, options.any_size)

        def steps_within_budget(spec: InputSpec) -> float:
            progress("timing a training step", 0.0)
            seconds = seconds_per_step(conv_dense(spec, options), training)
            return min(training.iterations, training.budget / seconds)

        return load_at_best_size(samples, input_of, steps_within_budget, options.seed, progress)
    inputs = options.layers[0] if options.is_dense else None
    side = options.side or PART_SIDES[-1]
    spec = choose_input(samples, side, options.colour, options.region, options.any_size, inputs)
    images = load_images(samples, spec, progress)
    return spec, 1, images, find_twins(images)


def write_card(
    graph: onnx.ModelProto,
    golden: Golden,
    held_out: Pixels,
    reference: NDArray[np.float32],
    unseen: NDArray[np.float32] | None = None,
    *,
    name: str,
    spec: InputSpec,
    architecture: dict[str, Any],
    training: Training,
    false_alarm_rate: float,
    keep_outliers: bool = False,
) -> tuple[Card, float]:
    """Measure a graph with onnxruntime and write its card. Returns the card and how far torch's scores are from these.

    `held_out`: uint8 [N, H, W, C], good frames; `reference`: float32 [n], what torch says of the first of them;
    `unseen`: float32 [N], what onnxruntime says where the weights never saw them, if that is not what the graph says.
    What lies far out among them is left out, see `data.audit`. Raises ExportError where the two runtimes differ.
    """
    card = Card(
        card_version=CARD_VERSION,
        name=name,
        created_at=datetime.now(UTC).replace(microsecond=0),
        architecture=architecture,
        input=spec,
        calibration=calibrate(reference, false_alarm_rate),
        reference=measure_reference(reference, held_out[: len(reference)]),
        training=training,
        versions=versions(),
        weights_sha256=export.weights_sha256(graph),
    )
    model = Model.from_bytes(export.pack(graph, card, golden), name, provider="cpu")
    # The threshold stands on the scores of the runtime that will be compared with it, not on torch's.
    scores = model.score(held_out if unseen is None else held_out[: len(reference)])
    parity = export.check_parity(scores[: len(reference)], reference)
    scores = scores if unseen is None else unseen
    used = np.ones(len(scores), np.bool_) if keep_outliers else ~far_out(scores)
    counts = {"calibration_images": int(used.sum()), "left_out": int((~used).sum())}
    measured = {
        "calibration": calibrate(scores[used], false_alarm_rate),
        "reference": measure_reference(scores[used], held_out[used]),
        "training": training.model_copy(update=counts),
        "milliseconds_per_image": export.milliseconds_per_image(model, held_out),
    }
    return card.model_copy(update=measured), parity


def recalibrate(path: Path, dataset: Dataset, false_alarm_rate: float, progress: Progress = quiet) -> bytes:
    """The content of the same model with its threshold set anew on these good images.

    Raises UsageError (the images) and ModelError (the file).
    """
    model = Model.load(path, provider="cpu", threads=0)
    samples = good_samples(dataset)
    frames = load_images(samples, model.card.input, progress)
    progress("calibrating", 0.0)
    scores = model.score(frames)
    training = model.card.training.model_copy(update={"calibration_images": len(samples)})
    card = model.card.model_copy(
        update={
            "calibration": calibrate(scores, false_alarm_rate),
            "reference": measure_reference(scores, frames),
            "training": training,
            "metrics": {},  # measured at the old threshold, on other images
        }
    )
    graph = onnx.load_from_string(path.read_bytes())
    export.set_metadata(graph, CARD_KEY, card.model_dump_json())
    return export.serialise(graph)


def measure_reference(scores: NDArray[np.float32], frames: Pixels) -> Reference:
    """The spread of scores (float32 [N]), brightness and sharpness of good frames uint8 [N, H, W, C]."""
    return Reference(
        score=spread(scores),
        brightness=spread([imaging.brightness(frame) for frame in frames]),
        sharpness=spread([imaging.sharpness(frame) for frame in frames]),
    )


def spread(values: ArrayLike) -> Spread:
    """Mean, standard deviation, lowest and highest of values [N]."""
    array = np.asarray(values, dtype=np.float64)
    return Spread(mean=array.mean(), std=array.std(), lowest=array.min(), highest=array.max())


def training_record(
    samples: Sequence[Sample], fitted: Fitted, parts_of_each: Sequence[Split], options: TrainingOptions
) -> Training:
    """What the card says about where the weights came from."""
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
        fingerprint=fingerprint(samples),
        seed=options.seed,
        iterations=fitted.iterations,
        seconds=round(fitted.seconds, 1),
        ended=fitted.ended,
        device=describe_device(options.device),
    )


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
