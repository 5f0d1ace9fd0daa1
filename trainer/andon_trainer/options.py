"""What `fit` is asked for, from Python and on the command line alike: options, their defaults and their checks."""

import math
from dataclasses import dataclass
from typing import cast

from andon_monitor.common.text import MAX_NAME_CHARS, is_plain, shown
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS, DecodingLimits
from andon_monitor.model.card import InputSpec
from andon_monitor.model.mask import Mask

from andon_trainer.architecture import (
    ARCHITECTURES,
    DEFAULT_SIZE,
    DENSE_LOSSES,
    FEATURES,
    KINDS,
    LOSSES,
    WIDTHS,
    Architecture,
    DenseArchitecture,
    Kind,
    Loss,
    check_layers,
)

COLOURS = ("auto", "grey", "rgb")
DEVICES = ("auto", "cpu", "cuda")
MAX_LIMIT = 10**12  # pixels, bytes
MIN_REGION_PIXELS = 16  # a smaller region of interest has too little to learn from


@dataclass(frozen=True)
class TrainingOptions:
    """How one network is trained: until `iterations` or `budget` seconds are over or nothing improves any more.

    With the same seed, machine and number of threads the weights are the same, unless the budget ends the training.
    """

    iterations: int = 9000
    budget: float = 560.0
    batch: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    seed: int = 0
    device: str = "cpu"


# What each architecture is trained with by default. Dense networks are small: many frames fit into a
# step, and a third of the steps is enough.
TRAINING = {
    "conv-dense": TrainingOptions(),
    "dense": TrainingOptions(iterations=3000, batch=256, learning_rate=1e-3),
}


@dataclass(frozen=True)
class FitOptions:
    """Everything that can be asked of `fit`, under the names of the command line's options.

    `None` leaves the choice to Andon: the number of images chooses `false_alarm_rate`, the architecture chooses
    `encoder`, `kind`, `loss`, `iterations`, `batch` and `learning_rate`, the images choose `side`. There is one of
    the `networks`, of few images as many as the budget is enough for.

    Raises UsageError, which names the option as the command line spells it, its value, and what is right.

        FitOptions(false_alarm_rate=0.01, budget=240, region=(40, 0, 600, 480))
    """

    name: str = "model"  # in verdicts and metrics
    false_alarm_rate: float | None = None  # share of good parts that may be flagged; None: the lowest they support
    architecture: str = "conv-dense"  # or dense, for small images
    layers: tuple[int, ...] = (784, 128, 64, 32, 64, 128, 784)  # sizes of the dense architecture's layers
    kind: str | None = None  # of dense autoencoder, one of KINDS; plain by default
    loss: str | None = None  # of the reconstruction, one of LOSSES; l1-ssim by default, mse for dense
    budget: float = 600.0  # seconds for everything: reading images, training, calibration, evaluation
    iterations: int | None = None  # training steps at most, of all networks together
    batch: int | None = None  # frames in a training step
    learning_rate: float | None = None  # the highest
    seed: int = 0
    side: int | None = None  # frames are scaled to an area of about side x side pixels
    size: str = DEFAULT_SIZE  # of the conv-dense network, one of WIDTHS
    encoder: str | None = None  # whose features are rebuilt, too: built-in (default), small, none, or an ONNX file
    latency: float | None = None  # seconds that a frame may take on one core of this machine
    networks: int | None = None  # each trained without another part of the images, then averaged
    colour: str = "auto"  # or grey, rgb
    region: tuple[int, int, int, int] | None = None  # of interest: left, top, width, height in pixels
    mask: Mask | None = None  # where in the images the model looks, see `andon_monitor.model.mask.read_mask`
    any_size: bool = False  # accept images of other sizes than most
    max_pixels: int = DEFAULT_MAX_PIXELS  # of an image; as inspection.max_pixels of the monitor
    max_decoding_bytes: int = DEFAULT_MAX_BYTES  # of memory to decode one image; as inspection.max_decoding_bytes
    keep_outliers: bool = False  # held-out images that score far from all others set the threshold, too
    device: str = "auto"  # to train on: cpu, cuda; dense always trains on the CPU
    threads: int = 0  # to train on; 0 for as many as are fastest here

    def __post_init__(self) -> None:
        check_name("--name", self.name)
        check_choice("--architecture", self.architecture, ARCHITECTURES)
        if self.false_alarm_rate is not None:
            check_range("--false-alarm-rate", self.false_alarm_rate, 1e-9, 0.5)
        if self.side is not None:
            check_range("--side", self.side, 64, 2048)
        check_choice("--size", self.size, tuple(WIDTHS))
        if self.kind is not None:
            if not self.is_dense:
                raise UsageError(f"--kind {self.kind}: only with --architecture dense")
            check_choice("--kind", self.kind, KINDS)
        if self.is_dense and self.size != DEFAULT_SIZE:
            raise UsageError(f"--size {self.size}: only with --architecture conv-dense; dense has --layers")
        if self.loss is not None:
            check_choice("--loss", self.loss, DENSE_LOSSES if self.is_dense else LOSSES)
        if self.networks is not None:
            check_range("--networks", self.networks, 1, 5)
            if self.is_dense:
                raise UsageError(f"--networks {self.networks}: only with --architecture conv-dense; dense is one")
        if self.is_dense and self.encoder not in (None, "none"):
            raise UsageError(f"--encoder {self.encoder}: only with --architecture conv-dense; dense has none")
        if self.latency is not None:
            check_range("--latency", 1000 * self.latency, 0.1, 60_000)
            if self.is_dense:
                raise UsageError(f"--latency {1000 * self.latency:g}ms: only with --architecture conv-dense")
        training = self.training
        check_range("--iterations", training.iterations, 1, 10_000_000)
        check_range("--batch", training.batch, 2, 4096)
        check_range("--learning-rate", training.learning_rate, 1e-8, 1.0)
        check_range("--threads", self.threads, 0, 1024)
        check_limits(self.max_pixels, self.max_decoding_bytes)
        check_choice("--colour", self.colour, COLOURS)
        check_choice("--device", self.device, DEVICES)
        check_layers(self.layers)
        if not 1 <= self.budget < math.inf:
            raise UsageError(f"--budget {self.budget:g}: give a time of at least a second, as 90s, 10m or 1h")
        if self.region is not None:
            check_region(self.region)

    @property
    def limits(self) -> DecodingLimits:
        """How large an image may be."""
        return DecodingLimits(self.max_pixels, self.max_decoding_bytes)

    @property
    def is_dense(self) -> bool:
        """Whether the network is the dense one for small images."""
        return self.architecture == "dense"

    @property
    def dense_kind(self) -> Kind:
        """The kind of dense autoencoder."""
        return cast(Kind, self.kind or "plain")

    @property
    def reconstruction_loss(self) -> Loss:
        """The loss of the reconstruction, by default that of the architecture."""
        return cast(Loss, self.loss or ("mse" if self.is_dense else "l1-ssim"))

    @property
    def training(self) -> TrainingOptions:
        """How networks are trained, before `fit` chooses the device and how much of the budget the training has."""
        usual = TRAINING[self.architecture]
        return TrainingOptions(
            iterations=usual.iterations if self.iterations is None else self.iterations,
            budget=self.budget,
            batch=usual.batch if self.batch is None else self.batch,
            learning_rate=usual.learning_rate if self.learning_rate is None else self.learning_rate,
            seed=self.seed,
        )

    def conv_dense(self, spec: InputSpec, pooling: int = 1) -> Architecture:
        """The convolutional autoencoder of an input, which sees frames `pooling` times as low and narrow."""
        height, width = spec.height // pooling, spec.width // pooling
        loss = self.reconstruction_loss
        widths, features = WIDTHS[self.size], FEATURES[self.size]
        return Architecture(height, width, spec.channels, widths, features=features, loss=loss, pooling=pooling)

    def dense(self, spec: InputSpec) -> DenseArchitecture:
        """The dense autoencoder of an input."""
        kind, loss = self.dense_kind, self.reconstruction_loss
        return DenseArchitecture(spec.height, spec.width, spec.channels, self.layers, kind, loss)


def parse_region(text: str) -> tuple[int, int, int, int]:
    """`left,top,width,height` in pixels. Raises UsageError."""
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError:
        left, top, width, height = -1, 0, 0, 0
    region = left, top, width, height
    check_region(region, text)
    return region


def check_region(region: tuple[int, int, int, int], text: str | None = None) -> None:
    """Raises UsageError where a region (left, top, width, height) is outside every image, or too small."""
    left, top, width, height = region
    if min(left, top) < 0 or min(width, height) < MIN_REGION_PIXELS:
        text = ",".join(map(str, region)) if text is None else text
        raise UsageError(
            f"--region {text}: give left,top,width,height in pixels, at least {MIN_REGION_PIXELS} wide and high"
        )


def check_limits(max_pixels: int, max_decoding_bytes: int) -> DecodingLimits:
    """How large an image may be. Raises UsageError."""
    check_range("--max-pixels", max_pixels, 1, MAX_LIMIT)
    check_range("--max-decoding-bytes", max_decoding_bytes, 1, MAX_LIMIT)
    return DecodingLimits(max_pixels, max_decoding_bytes)


def check_range(option: str, value: float, lowest: float, highest: float) -> None:
    """Raises UsageError where an option's value is outside its range, or not a number."""
    if not lowest <= value <= highest:
        raise UsageError(f"{option} {value}: give a number between {lowest:g} and {highest:g}")


def check_name(option: str, name: str) -> None:
    """Raises UsageError where a name is empty, too long for metrics, or has control characters."""
    if not 1 <= len(name) <= MAX_NAME_CHARS or not is_plain(name):
        raise UsageError(f"{option} {shown(name)}: give 1 to {MAX_NAME_CHARS} printable characters")


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises UsageError where an option's value is none of its choices."""
    if value not in choices:
        raise UsageError(f"{option} {value}: choose {', '.join(choices)}")
