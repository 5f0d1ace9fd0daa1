"""Every method, from a draw of a set to a model file: the same images, the same split, the same time."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import nn

from monitor.card import InputSpec
from monitor.errors import UsageError
from monitor.imaging import Pixels
from monitor.model import Golden
from tests.benchmarks.quality import anomalib
from tests.benchmarks.quality.baselines import PrincipalComponents, SimilarityDetector, fit_convolutional
from trainer import export
from trainer.architecture import DenseArchitecture
from trainer.building import BuildOptions, build, training_record, write_card
from trainer.dataset import Dataset, Split, choose_input, find_twins, load_images, split
from trainer.dense import DenseDetector, fit_dense
from trainer.fitting import FitOptions, Fitted
from trainer.tensors import to_unit

FALSE_ALARM_RATE = 0.01
SIDE = 128  # what others are given: the size they are published at, and the one their time is enough for
HIDDEN, LATENT = 512, 64  # of the textbook's dense autoencoder
LONG = 3  # a larger budget is so many times the usual one


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
    def of(cls, task: Task) -> "Prepared":
        spec = choose_input(task.dataset.train, SIDE, any_size=True)
        images = load_images(task.dataset.train, spec)
        return cls(spec, images, split(find_twins(images), task.seed))

    @property
    def held_out(self) -> Pixels:
        """The frames to calibrate on."""
        return self.images[self.parts.calibration]


Method = Callable[[Task], bytes]  # to the content of a model file


def andon(task: Task, long: bool = False, **overrides: object) -> bytes:
    """`andon-trainer fit` with its defaults, or with other options."""
    times = LONG if long else 1
    usual = FitOptions(seed=task.seed)
    options = BuildOptions(
        name="andon",
        false_alarm_rate=FALSE_ALARM_RATE,
        budget=times * task.budget,
        any_size=True,
        fit=replace(usual, iterations=times * usual.iterations),
    )
    return build(replace(task.dataset, test=()), replace(options, **overrides)).content


def pca(task: Task) -> bytes:
    """The residual of principal components."""
    given = Prepared.of(task)
    torch.manual_seed(task.seed)
    network = PrincipalComponents(to_unit(torch.from_numpy(given.images[given.parts.train])))
    return from_torch(task, given, DenseDetector(network), "pca", 1, 0.0)


def dense(task: Task) -> bytes:
    """The textbook's autoencoder of fully connected layers."""
    given = Prepared.of(task)
    spec = given.spec
    pixels = spec.height * spec.width * spec.channels
    layers = (pixels, HIDDEN, LATENT, HIDDEN, pixels)
    options = FitOptions(seed=task.seed, budget=task.budget, learning_rate=1e-3)
    fitted = fit_dense(
        given.images, given.parts, DenseArchitecture(spec.height, spec.width, spec.channels, layers), options
    )
    return from_torch(task, given, DenseDetector(fitted.network), "dense", fitted.iterations, fitted.seconds)


def convolutional(task: Task, similarity: bool) -> bytes:
    """The plain convolutional autoencoder."""
    given = Prepared.of(task)
    options = FitOptions(seed=task.seed, budget=task.budget)
    network, iterations, seconds = fit_convolutional(given.images[given.parts.train], options, similarity)
    kind = SimilarityDetector if similarity else DenseDetector
    return from_torch(task, given, kind(network), "conv", iterations, seconds)


def from_anomalib(task: Task, name: str) -> bytes:
    """A model of anomalib, trained by its own program."""
    given = Prepared.of(task)
    found = anomalib.fit(task.python, name, given.images[given.parts.train], given.held_out, task.seed, task.budget)
    golden = Golden(given.held_out[:2], found.scores[:2])
    return pack(task, given, found.graph, golden, found.scores, name, found.iterations, found.seconds)


def from_torch(
    task: Task, given: Prepared, detector: DenseDetector, name: str, iterations: int, seconds: float
) -> bytes:
    """Put a detector's readings on the scale of held-out parts, and make a model file of it."""
    detector.eval().standardise(given.images[given.parts.validation])
    graph = export.to_onnx(detector, given.images.shape[1:])
    golden = export.choose_golden(detector, given.held_out)
    reference = export.torch_scores(detector, given.held_out)
    return pack(task, given, graph, golden, reference, name, iterations, seconds)


def pack(task, given, graph, golden, reference, name, iterations, seconds) -> bytes:  # type: ignore[no-untyped-def]
    """The model file of a graph, calibrated as Andon's own are."""
    fitted = Fitted(nn.Identity(), iterations=iterations, seconds=seconds, ended="budget")  # type: ignore[arg-type]
    options = BuildOptions(name, fit=FitOptions(seed=task.seed))
    card, _ = write_card(
        graph,
        golden,
        given.held_out,
        reference,
        name=name,
        spec=given.spec,
        architecture={"name": name},
        training=training_record(task.dataset.train, given.parts, given.parts.groups, options, fitted),
        false_alarm_rate=FALSE_ALARM_RATE,
    )
    return export.pack(graph, card, golden)


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


def find_method(name: str) -> Method:
    """A method by its name; `andon:side=192` is Andon with another option of `fit`. Raises UsageError."""
    if name in METHODS:
        return METHODS[name]
    base, _, text = name.partition(":")
    key, _, value = text.partition("=")
    known = {field.name for field in fields(BuildOptions)} - {"name", "fit"}
    if base != "andon" or key not in known or not value:
        raise UsageError(f"--method {name}: choose {', '.join(METHODS)}, or andon:OPTION=VALUE as andon:side=192")
    return partial(andon, **{key: int(value) if value.isdecimal() else value})
