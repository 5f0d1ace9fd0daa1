"""Every method, from a draw of a set to a model file: the same images, the same split, the same time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from andon_monitor.errors import UsageError
from andon_monitor.model.card import InputSpec
from andon_monitor.model.golden import GOLDEN_GOOD, Golden
from andon_monitor.model.imaging import Pixels
from andon_trainer.architecture import DenseArchitecture
from andon_trainer.data.dataset import Dataset
from andon_trainer.data.images import ImageCache, load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.near_duplicates import group_near_duplicates
from andon_trainer.data.splits import Split, split
from andon_trainer.export.card import training_record, write_card
from andon_trainer.export.graph import ExportedDetector, export_detector
from andon_trainer.export.metadata import pack
from andon_trainer.fitting import fit
from andon_trainer.network.dense import DenseAutoencoder
from andon_trainer.network.tensors import to_unit
from andon_trainer.options import FitOptions, TrainingOptions
from andon_trainer.scoring.dense_detector import DenseDetector
from andon_trainer.training.dense import train_dense_network
from andon_trainer.training.schedule import TrainedNetwork
from torch import nn

from tests.benchmarks.quality.anomalib_process import run_worker
from tests.benchmarks.quality.baselines import (
    LEARNING_RATE,
    PrincipalComponents,
    SimilarityDetector,
    fit_convolutional,
)

FALSE_ALARM_RATE = 0.01
SIDE = 128  # what others are given: the size they are published at, and the one their time is enough for
HIDDEN, LATENT = 512, 64  # of the textbook's dense autoencoder
LONG = 2  # a larger budget is so many times the usual one


@dataclass(frozen=True)
class Task:
    """What a method is given; `budget` is in seconds, `python` anomalib's interpreter where there is one."""

    dataset: Dataset
    seed: int
    budget: float
    python: str | None = None


@dataclass(frozen=True)
class Prepared:
    """The images of a task as other methods take them, and their split."""

    spec: InputSpec
    images: Pixels  # uint8 [N, H, W, C]
    parts: Split

    @classmethod
    def of(cls, task: Task, square: bool = False) -> "Prepared":
        spec = choose_input(task.dataset.train, SIDE, any_size=True)
        if square:
            spec = spec.model_copy(update={"height": SIDE, "width": SIDE})
        images = load_images(task.dataset.train, spec)
        return cls(spec, images, split(group_near_duplicates(images), task.seed))

    @property
    def learned_from(self) -> Pixels:
        """The frames to train on."""
        return self.images[self.parts.train]

    @property
    def held_out(self) -> Pixels:
        """The frames to calibrate on."""
        return self.images[self.parts.calibration]


@dataclass(frozen=True)
class Trained:
    """A graph with the contract's outputs, and how long it was trained."""

    exported: ExportedDetector
    iterations: int
    seconds: float


Method = Callable[[Task], bytes]  # to the content of a model file


def andon(task: Task, long: bool = False, **overrides: object) -> bytes:
    """`andon-trainer fit` with its defaults, or with other options."""
    times = LONG if long else 1
    options = FitOptions(
        name="andon",
        false_alarm_rate=FALSE_ALARM_RATE,
        budget=times * task.budget,
        iterations=times * FitOptions().training.iterations,
        seed=task.seed,
        any_size=True,
        device="cpu",
        threads=torch.get_num_threads(),
    )
    return fit(replace(task.dataset, test=()), replace(options, **overrides)).content


def pca(task: Task) -> bytes:
    """The residual of principal components."""
    given = Prepared.of(task)
    torch.manual_seed(task.seed)
    start = time.monotonic()
    network = PrincipalComponents(to_unit(torch.from_numpy(given.learned_from)))
    return model_file(task, given, "pca", scaled(given, DenseDetector(network), 1, time.monotonic() - start))


def dense(task: Task) -> bytes:
    """The textbook's autoencoder of fully connected layers."""
    given = Prepared.of(task)
    height, width, channels = given.images.shape[1:]
    pixels = height * width * channels
    arch = DenseArchitecture(height, width, channels, (pixels, HIDDEN, LATENT, HIDDEN, pixels))
    options = TrainingOptions(seed=task.seed, budget=task.budget, learning_rate=LEARNING_RATE)
    trained = train_dense_network(given.images, given.parts, arch, options)
    assert isinstance(trained.network, DenseAutoencoder)
    detector = DenseDetector(trained.network)
    return model_file(task, given, "dense", scaled(given, detector, trained.iterations, trained.seconds))


def convolutional(task: Task, similarity: bool) -> bytes:
    """The plain convolutional autoencoder."""
    given = Prepared.of(task)
    options = TrainingOptions(seed=task.seed, budget=task.budget, learning_rate=LEARNING_RATE)
    network, iterations, seconds = fit_convolutional(given.learned_from, options, similarity)
    detector = (SimilarityDetector if similarity else DenseDetector)(network)
    return model_file(task, given, "conv", scaled(given, detector, iterations, seconds))


def from_anomalib(task: Task, name: str) -> bytes:
    """A model of anomalib's, trained by its own program."""
    given = Prepared.of(task, square=True)  # GANomaly takes no other frames
    assert task.python is not None  # as cells of it are only made where it is there
    found = run_worker(task.python, name, given.learned_from, given.held_out, task.seed, task.budget)
    golden = Golden(given.held_out[:GOLDEN_GOOD], found.scores[:GOLDEN_GOOD])
    exported = ExportedDetector(found.graph, golden, found.scores)
    return model_file(task, given, name, Trained(exported, found.iterations, found.seconds))


def scaled(given: Prepared, detector: DenseDetector, iterations: int, seconds: float) -> Trained:
    """Put a detector's errors on the scale of held-out parts, and export it."""
    detector.eval().standardise(given.images[given.parts.validation])
    return Trained(export_detector(detector, given.held_out), iterations, seconds)


def model_file(task: Task, given: Prepared, name: str, trained: Trained) -> bytes:
    """The model file of a graph, calibrated as Andon's own are."""
    network = TrainedNetwork(nn.Identity(), iterations=trained.iterations, seconds=trained.seconds, ended="budget")
    fingerprint = ImageCache(kept_bytes=0).fingerprint(task.dataset.train)
    card, _ = write_card(
        trained.exported,
        given.held_out,
        name=name,
        spec=given.spec,
        architecture={"name": name},
        training=training_record(network, (given.parts,), fingerprint, TrainingOptions(seed=task.seed)),
        false_alarm_rate=FALSE_ALARM_RATE,
    )
    return pack(trained.exported.graph, card, trained.exported.golden)


METHODS: dict[str, Method] = {
    "pca": pca,
    "dense": dense,
    "conv-mse": partial(convolutional, similarity=False),
    "conv-ssim": partial(convolutional, similarity=True),
    "ganomaly": partial(from_anomalib, name="ganomaly"),
    "draem": partial(from_anomalib, name="draem"),
    "andon": andon,
    "andon-long": partial(andon, long=True),
}
NEED_ANOMALIB = ("ganomaly", "draem")
WITHOUT_MAP = ("ganomaly",)  # it says how much is wrong, not where


def find_method(name: str) -> Method:
    """A method by its name; `andon:side=192,networks=1` is Andon with other options of `fit`. Raises UsageError."""
    if name in METHODS:
        return METHODS[name]
    base, _, text = name.partition(":")
    options = dict(option.partition("=")[::2] for option in text.split(","))
    known = {field.name for field in fields(FitOptions)} - {"name"}
    if base != "andon" or not options.keys() <= known or not all(options.values()):
        raise UsageError(f"--method {name}: choose {', '.join(METHODS)}, or andon:OPTION=VALUE,... as andon:side=192")
    return partial(andon, **{key: int(value) if value.isdecimal() else value for key, value in options.items()})
