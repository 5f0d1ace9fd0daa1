"""From a folder of good parts to a model file: what `andon-trainer fit` and `calibrate` do, without the console."""

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from monitor import imaging
from monitor.calibration import FEW, calibrate
from monitor.card import CARD_KEY, CARD_VERSION, Card, InputSpec, Reference, Spread, Training
from monitor.imaging import Pixels
from monitor.model import SCORE, Golden, Model
from monitor.session import Session
from trainer import export
from trainer.architecture import WIDTHS, Architecture, DenseArchitecture, Kind, Loss
from trainer.audit import Audit, audit, far_out
from trainer.course import FitOptions, Fitted, in_a_row
from trainer.dataset import (
    GOOD,
    Dataset,
    Sample,
    Split,
    choose_input,
    common_to,
    find_twins,
    fingerprint,
    good_samples,
    load_images,
    split,
    splits,
    together,
)
from trainer.dense import build_dense_detector, fit_dense
from trainer.errors import FittingError
from trainer.evaluation import Evaluation, evaluate
from trainer.fitting import fit
from trainer.network import Autoencoder
from trainer.pace import seconds_per_step
from trainer.progress import Progress, quiet
from trainer.registration import fit_registration, laid
from trainer.resolution import PART_SIDES, load_at_best_size
from trainer.scoring import Detector, Member, build_member
from trainer.variation import with_channels

# What remains to be done after the training (memory, export, calibration, evaluation, report) takes this share of the
# budget, and no more than this many seconds.
RESERVED_SHARE = 0.15
RESERVED_SECONDS = 60.0
RESERVED_FOR_ANOTHER = 15.0  # seconds for each network but the first, whose graph is exported alone

# Of the tiles a network of 700 was as good as one of 9,000; that it is so of other images, too, nobody has measured.
STEPS_EACH = 1000
NETWORKS_MOST = 3  # each takes as long to ask as the first; five were no better than three


@dataclass(frozen=True)
class BuildOptions:
    """What `fit` was asked for; `budget` is in seconds and covers everything, training and what follows it.

    Without a `side` the images choose the resolution, without `networks` the budget how many are trained; `size` is one
    of `WIDTHS`. With `keep_outliers` every
    held-out image sets the threshold, also one that scores like no good part.
    """

    name: str
    false_alarm_rate: float = 0.001
    budget: float = 600.0
    side: int | None = None
    size: str = "base"
    networks: int | None = None
    colour: str = "auto"
    region: tuple[int, int, int, int] | None = None
    any_size: bool = False
    keep_outliers: bool = False
    dense: "DenseOptions | None" = None
    loss: Loss = "l1-ssim"
    fit: FitOptions = field(default_factory=FitOptions)


@dataclass(frozen=True)
class DenseOptions:
    """The dense architecture instead of the convolutional one: sizes of its layers, and its kind."""

    layers: tuple[int, ...]
    kind: Kind = "plain"


@dataclass(frozen=True)
class Built:
    """A finished model and what its report is made of."""

    content: bytes
    model: Model
    fitted: Fitted
    evaluation: Evaluation | None
    audit: Audit
    held_out: Pixels  # uint8 [N, H, W, C], the calibration frames
    parity: float


def build(
    dataset: Dataset,
    options: BuildOptions,
    progress: Progress = quiet,
    interrupted: Event | None = None,
) -> Built:
    """Train, calibrate, export, verify and, where there are test images, evaluate.

    Raises UsageError (the images), FittingError and ExportError.
    """
    samples = good_samples(dataset)
    reserved = min(RESERVED_SHARE * options.budget, RESERVED_SECONDS)
    options = replace(options, fit=replace(options.fit, budget=options.budget - reserved))
    spec, pooling, images, twins = load(samples, options, progress)
    trained = train(images, twins, spec, pooling, options, progress, interrupted)
    parts = together(trained.splits)
    held_out = images[parts.calibration]
    progress("exporting", 0.0)
    graph = export.to_onnx(trained.detector, held_out.shape[1:])
    golden = export.choose_golden(trained.detector, held_out)
    reference = export.torch_scores(trained.detector, held_out)
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
        training=training_record(samples, trained.fitted, trained.splits, options),
        false_alarm_rate=options.false_alarm_rate,
        keep_outliers=options.keep_outliers,
    )
    model = Model.from_bytes(export.pack(graph, card, golden), options.name, provider="cpu", threads=0)
    progress("looking through the images", 0.0)
    tested = [sample for sample in dataset.test if sample.label == GOOD]
    scores = np.where(np.isnan(unseen), model.score(images), unseen)
    audited = audit(samples, images, parts, scores, tested, load_images(tested, spec), poses=trained.poses)
    card = card.model_copy(update={"training": card.training.model_copy(update=audited.counts())})
    evaluation = None
    if dataset.test:
        evaluation = evaluate(model, dataset.test, progress)
        card = card.model_copy(update={"metrics": evaluation.headline()})
    content = export.pack(graph, card, golden)
    finished = Model.from_bytes(content, options.name, provider="cpu")
    return Built(content, finished, trained.fitted, evaluation, audited, held_out, parity)


def load(
    samples: Sequence[Sample], options: BuildOptions, progress: Progress
) -> tuple[InputSpec, int, Pixels, NDArray[np.int64]]:
    """Choose the input and load the images for it.

    Returns the input, how much of it is pooled, the images uint8 [N, H, W, C], and the group of twins of each.
    """
    if options.dense is None and options.side is None:

        def input_of(side: int) -> InputSpec:
            return choose_input(samples, side, options.colour, options.region, options.any_size)

        def steps_within_budget(spec: InputSpec) -> float:
            progress("timing a training step", 0.0)
            seconds = seconds_per_step(conv_dense(spec, options), options.fit)
            return min(options.fit.iterations, options.fit.budget / seconds)

        return load_at_best_size(samples, input_of, steps_within_budget, options.fit.seed, progress)
    inputs = options.dense.layers[0] if options.dense else None
    side = options.side or PART_SIDES[-1]
    spec = choose_input(samples, side, options.colour, options.region, options.any_size, inputs)
    images = load_images(samples, spec, progress)
    return spec, 1, images, find_twins(images)


@dataclass(frozen=True)
class Trained:
    """What was learned from N images, each of the networks with a split of its own."""

    detector: nn.Module
    splits: tuple[Split, ...]
    alone: tuple[nn.Module, ...]  # for each split a detector that saw nothing of what is held out there
    fitted: Fitted
    architecture: dict[str, Any]  # as the card keeps it
    poses: NDArray[np.float32] | None = None  # [N, 4], where the detector registers frames


def train(
    images: Pixels,
    twins: NDArray[np.int64],
    spec: InputSpec,
    pooling: int,
    options: BuildOptions,
    progress: Progress,
    interrupted: Event | None,
) -> Trained:
    """Train the architecture that was asked for on images uint8 [N, H, W, C]; `twins` are their groups, int [N]."""
    seed = options.fit.seed
    if options.dense is not None:
        shape = (spec.height, spec.width, spec.channels)
        dense = DenseArchitecture(*shape, options.dense.layers, options.dense.kind, options.loss)
        parts = split(twins, seed)
        network, fitted = fit_dense(images, parts, dense, options.fit, under(progress, "training"), interrupted)
        alone = build_dense_detector(network, images[parts.validation])
        return Trained(alone, (parts,), (alone,), fitted, dense.to_dict())

    start = time.monotonic()
    arch = conv_dense(spec, options, pooling)
    planned = splits(twins, seed, options.networks or networks_within_budget(arch, options.fit, progress))
    end = start + options.fit.budget - RESERVED_FOR_ANOTHER * (len(planned) - 1)
    progress("finding how parts lie", 0.0)
    registration = fit_registration(images[planned[0].train], seed)
    poses = None if registration is None else registration.poses(images)
    seen = pooled(images if poses is None else laid(images, poses), pooling)
    trainings: list[Fitted] = []
    members: list[Member] = []
    for parts in planned:
        left = max(end - time.monotonic(), 1e-3)  # a time that is over ends a training, less than none would not
        budget = left / (len(planned) - len(members))
        each = replace(options.fit, iterations=max(1, options.fit.iterations // len(planned)), budget=budget)
        what = f"training network {len(members) + 1} of {len(planned)}" if len(planned) > 1 else "training"
        try:
            fitted = fit(seen, parts, arch, each, under(progress, what), interrupted)
        except FittingError:
            if not members:
                raise
            break  # whatever stopped this one, those before it are whole
        progress("remembering", 0.0)
        assert isinstance(fitted.network, Autoencoder)
        member = build_member(
            fitted.network, images[parts.train], images[parts.validation], fitted.texture, seed, registration
        )
        trainings.append(fitted)
        members.append(member)
        if fitted.ended == "interrupted":
            break
    first = members[0]
    memories = {"memory_patches": first.memory, "grain_patches": first.grain_memory}
    remembered = {name: 0 if memory is None else memory.size for name, memory in memories.items()}
    detector = Detector(members, registration).eval()
    several = len(members) > 1
    return Trained(
        detector,
        planned[: len(members)],
        tuple(Detector([member], registration).eval() for member in members) if several else (detector,),
        in_a_row(trainings),
        first.network.arch.to_dict() | remembered | {"registered": registration is not None},
        poses,
    )


def under(progress: Progress, heading: str) -> Progress:
    """Progress whose steps are those of something larger."""
    return lambda what, share: progress(f"{heading}, {what}", share)


def networks_within_budget(arch: Architecture, options: FitOptions, progress: Progress) -> int:
    """How many networks the time is enough for."""
    if options.iterations < 2 * STEPS_EACH:
        return 1
    progress("timing a training step", 0.0)
    steps = min(options.iterations, options.budget / seconds_per_step(arch, options))
    return min(max(int(steps / STEPS_EACH), 1), NETWORKS_MOST)


def scores_of_unseen(trained: Trained, graph: onnx.ModelProto, images: Pixels) -> NDArray[np.float32]:
    """What good images uint8 [N, H, W, C] score where they were not learned from, float32 [N]; NaN where they were.

    Of several networks each tells what it says alone of the images that only it had not seen (Vovk, "Cross-conformal
    predictors", 2015). Their mean goes astray less: on the images that none of them saw, its scores and those of each
    alone are both known, and the scores of the others are put where the mean's would be: with its average and
    standard deviation. Too few such images tell nothing, and the scores of each alone are slightly too high.
    """
    scores = np.full(len(images), np.nan, np.float32)
    unseen = common_to(trained.splits)
    if len(trained.splits) == 1:
        scores[unseen] = score_with(graph, images[unseen])
        return scores
    alone: list[NDArray[np.float32]] = []
    for parts, detector in zip(trained.splits, trained.alone, strict=True):
        its_graph = export.to_onnx(detector, images.shape[1:])
        scores[parts.calibration] = score_with(its_graph, images[parts.calibration])
        alone.append(scores[unseen])
    if len(unseen) >= FEW:
        each, together = np.concatenate(alone), score_with(graph, images[unseen])
        scores = together.mean() + (scores - each.mean()) * together.std() / max(float(each.std()), 1e-9)
        scores[unseen] = together
    return scores


def score_with(graph: onnx.ModelProto, images: Pixels) -> NDArray[np.float32]:
    """Scores float32 [N] of images uint8 [N, H, W, C]."""
    session = Session(export.serialise(graph), "a network", "cpu", threads=0)
    scores: NDArray[np.float32] = session.run([SCORE], images)[0]
    return scores


def conv_dense(spec: InputSpec, options: BuildOptions, pooling: int = 1) -> Architecture:
    """The convolutional autoencoder of an input."""
    height, width = spec.height // pooling, spec.width // pooling
    return Architecture(height, width, spec.channels, WIDTHS[options.size], loss=options.loss, pooling=pooling)


def pooled(images: Pixels, pooling: int) -> Pixels:
    """Images uint8 [N, H, W, C] as the network sees them, each `pooling` times as low and narrow."""
    if pooling == 1:
        return images
    height, width = images.shape[1] // pooling, images.shape[2] // pooling
    smaller = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack([with_channels(image) for image in smaller])


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

    `held_out`: uint8 [N, H, W, C], good frames; `reference`: float32 [N], what torch says of them; `unseen`: float32
    [N], what onnxruntime says where the weights never saw them, if that is not what the graph says. What lies far out
    among them is left out, see `trainer.audit`. Raises ExportError where the two runtimes differ.
    """
    card = Card(
        card_version=CARD_VERSION,
        name=name,
        created_at=datetime.now(UTC).replace(microsecond=0),
        architecture=architecture,
        input=spec,
        calibration=calibrate(reference, false_alarm_rate),
        reference=measure_reference(reference, held_out),
        training=training,
        versions=versions(),
        weights_sha256=export.weights_sha256(graph),
    )
    model = Model.from_bytes(export.pack(graph, card, golden), name, provider="cpu")
    # The threshold stands on the scores of the runtime that will be compared with it, not on torch's.
    scores = model.score(held_out)
    parity = export.check_parity(scores, reference)
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
    samples: Sequence[Sample], fitted: Fitted, parts_of_each: Sequence[Split], options: BuildOptions
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
        seed=options.fit.seed,
        iterations=fitted.iterations,
        seconds=round(fitted.seconds, 1),
        ended=fitted.ended,
        device=device_used(options.fit.device),
    )


def device_used(device: str) -> str:
    """`cuda`, or `cpu` with the number of threads: other numbers of them round otherwise."""
    count = torch.get_num_threads()
    return device if device != "cpu" else f"cpu, {count} thread{'' if count == 1 else 's'}"


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
