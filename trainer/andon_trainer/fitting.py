"""From images of good parts to a model file: `fit`, stage by stage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

import numpy as np
from andon_monitor.model.file import Model
from andon_monitor.model.imaging import Pixels, input_mask

from andon_trainer.data.audit import Audit, audit
from andon_trainer.data.dataset import Dataset, DataSource, good_samples, open_dataset
from andon_trainer.data.images import ImageCache, TrainingImages
from andon_trainer.data.known_images import image_hashes
from andon_trainer.data.sample import GOOD, Sample
from andon_trainer.data.splits import together
from andon_trainer.evaluation import Evaluation, evaluate
from andon_trainer.export.card import training_record, write_card
from andon_trainer.export.graph import export_detector
from andon_trainer.export.metadata import pack
from andon_trainer.export.probes import probe, stop_impossible_frames
from andon_trainer.export.unseen import scores_of_unseen
from andon_trainer.latency import LatencyChoice, choose_within_latency
from andon_trainer.network.encoder import BUILT_IN, load_encoder
from andon_trainer.options import FitOptions, TrainingOptions
from andon_trainer.progress import Progress, quiet
from andon_trainer.scoring.assembly import combine, remember_good_parts, scale_to_good_parts
from andon_trainer.training.device import choose_device, use_threads
from andon_trainer.training.ensemble import split_images, train_networks
from andon_trainer.training.resolution import load_training_images
from andon_trainer.training.schedule import TrainedNetwork, join_trainings

# Of the budget, for everything after the training (memories, export, calibration, evaluation, report).
RESERVED_SHARE = 0.15
MAX_RESERVED_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class FitResult:
    """A finished model and what its report is made of."""

    content: bytes  # of the model file
    model: Model
    training: TrainedNetwork  # of all networks, one after the other
    evaluation: Evaluation | None  # where there are test images
    audit: Audit
    held_out: Pixels  # uint8 [N, H, W, C], the good frames that the threshold is set on
    parity: float  # largest relative difference between scores of onnxruntime and torch
    latency: LatencyChoice | None = None  # where one was asked for


def fit(
    data: DataSource | Sequence[DataSource] | Dataset,
    options: FitOptions | None = None,
    *,
    progress: Progress = quiet,
    interrupted: Event | None = None,
) -> FitResult:
    """Fit a model to images of good parts: train, set the threshold, export, and evaluate where there are test images.

    `data`: a folder, a recording, a topic, ..., or several, see `data.dataset.open_dataset`, or what that returned.
    `progress` learns what is being done. Setting `interrupted` ends the training; the best weights so far are kept.

    Raises UsageError (options or images), FittingError (no usable network) and ExportError (torch and onnxruntime
    disagree).

        result = fit("parts", FitOptions(budget=240))
        Path("part.onnx").write_bytes(result.content)
    """
    options = options or FitOptions()
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    samples, files = good_samples(dataset), ImageCache(limits=options.limits)
    training = prepare_training(options, progress)

    # Load, split, train.
    images = load_training_images(samples, files, options, training, progress)
    latency = None
    if options.latency is not None:
        latency = within_latency(options, images, samples, files, training, progress)
        options, images = latency.options, latency.images
    encoder = None if options.is_dense else load_encoder(options.encoder or BUILT_IN, images.spec.channels)
    planned = split_images(images, options, training, progress)
    trained = train_networks(images, planned, options, training, progress, interrupted)
    parts, masked = together(trained.splits), input_mask(images.spec)
    held_out = images.pixels[parts.calibration]

    # Remember what good parts are like, scale to those that were held out, export.
    detectors = remember_good_parts(trained, images, options.seed, progress, encoder)
    scale_to_good_parts(detectors, trained.splits, images)
    progress("exporting", 0.0)
    exported = export_detector(combine(detectors), held_out, masked)

    # Calibrate: the threshold comes from images that the networks had not seen.
    progress("calibrating", 0.0)
    unseen = scores_of_unseen(exported.graph, detectors, trained.splits, images.pixels)
    whole = join_trainings(trained.networks)
    record = training_record(whole, trained.splits, images.fingerprint, training)
    card, parity = write_card(
        exported,
        held_out,
        unseen[parts.calibration],
        name=options.name,
        spec=images.spec,
        architecture=detectors[0].to_dict(),
        training=record.model_copy(update={"known_images": image_hashes(images.pixels)}),
        false_alarm_rate=options.false_alarm_rate,
        keep_outliers=options.keep_outliers,
    )
    model = Model.from_bytes(pack(exported.graph, card, exported.golden), options.name, provider="cpu", threads=0)

    # Ask it about what no line may pass, and about made-up defects.
    progress("asking about made-up defects", 0.0)
    card = card.model_copy(update={"probes": probe(model, held_out, masked)})
    if options.false_alarm_rate is None:
        card = stop_impossible_frames(card)
    model = Model.from_bytes(pack(exported.graph, card, exported.golden), options.name, provider="cpu", threads=0)

    # Audit the images, evaluate the model.
    progress("checking the images", 0.0)
    seen = np.isnan(unseen)
    scores = np.where(seen, 0, unseen)
    if seen.any():
        scores[seen] = model.score(images.pixels[seen])
    # A folder with a subfolder for each kind has the images that were learned from among those to evaluate on.
    learned = {sample.path for sample in samples}
    tests = tuple(sample for sample in dataset.test if sample.path not in learned)
    tested = [sample for sample in tests if sample.label == GOOD]
    tested_pixels = files.frames(tested, images.spec)
    rate = card.calibration.false_alarm_rate
    audited = audit(samples, images.pixels, parts, scores, tested, tested_pixels, trained.poses, masked, rate)
    card = card.model_copy(update={"training": card.training.model_copy(update=audited.counts())})
    evaluation = None
    if tests:
        evaluation = evaluate(model, tests, progress, files)
        card = card.model_copy(update={"metrics": evaluation.headline(), "tested": evaluation.tested()})

    content = pack(exported.graph, card, exported.golden)
    finished = Model.from_bytes(content, options.name, provider="cpu")
    return FitResult(content, finished, whole, evaluation, audited, held_out, parity, latency)


def within_latency(
    options: FitOptions,
    images: TrainingImages,
    samples: Sequence[Sample],
    files: ImageCache,
    training: TrainingOptions,
    progress: Progress,
) -> LatencyChoice:
    """The best model that keeps `options.latency`. Raises UsageError where none does."""

    def load(wanted: FitOptions) -> TrainingImages:
        return load_training_images(samples, files, wanted, training, progress)

    networks = len(split_images(images, options, training, progress))
    return choose_within_latency(options, images, networks, load, progress)


def prepare_training(options: FitOptions, progress: Progress) -> TrainingOptions:
    """Choose device and threads, and how much of the budget the training may use."""
    device = choose_device(options)
    use_threads(options, device, progress)
    reserved = min(RESERVED_SHARE * options.budget, MAX_RESERVED_SECONDS)
    return replace(options.training, budget=options.budget - reserved, device=device)
