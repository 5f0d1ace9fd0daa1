"""Architectures: the sizes of networks, without torch, for code that reads folders and options."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from andon_monitor.errors import UsageError

STRIDE = 32  # the encoder halves the frame five times, so frame sides are multiples of this
MAP_STRIDE = 4  # the logit map is a quarter of the frame
FEATURE_STRIDE = 8  # the features that the patch memory compares are an eighth of it

ARCHITECTURES = ("conv-dense", "dense")
Kind = Literal["plain", "denoising", "sparse", "variational"]
KINDS: tuple[Kind, ...] = ("plain", "denoising", "sparse", "variational")
# Of the reconstruction. The first is for conv-dense alone: smooth L1 and structural similarity, see `training.loss`.
Loss = Literal["l1-ssim", "mse", "bce"]
LOSSES: tuple[Loss, ...] = ("l1-ssim", "mse", "bce")
DENSE_LOSSES: tuple[Loss, ...] = ("mse", "bce")
# Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the frame: more of them learn more from as many steps, and take longer.
WIDTHS = {"small": (8, 16, 24, 32, 32), "base": (16, 32, 48, 64, 64), "large": (24, 48, 72, 96, 96)}
FEATURES = {"small": 16, "base": 32, "large": 32}  # channels of the error head where it reads all scales
DEFAULT_SIZE = "small"


@dataclass(frozen=True)
class Architecture:
    """`widths` are the channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the frame; height and width multiples of STRIDE.

    `components` is the size of the linear branch's code, 0 without that branch, `latent` that of the convolutional one.
    `loss` is the reconstruction's part of the loss. Frames are `pooling` times as high and wide as the network sees
    them.
    """

    height: int
    width: int
    channels: int
    widths: tuple[int, int, int, int, int] = WIDTHS[DEFAULT_SIZE]
    bottleneck_channels: int = 32
    components: int = 48
    latent: int = 64
    features: int = FEATURES[DEFAULT_SIZE]
    loss: Loss = "l1-ssim"
    pooling: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As the model card keeps it."""
        return {"name": "conv-dense", **asdict(self)}


@dataclass(frozen=True)
class DenseArchitecture:
    """Fully connected layers of these sizes; the first and the last are the frame's pixels times channels."""

    height: int
    width: int
    channels: int
    layers: tuple[int, ...]
    kind: Kind = "plain"
    loss: Loss = "mse"

    @property
    def latent(self) -> int:
        """The size of the narrowest layer, whose numbers are the latent vector."""
        return min(self.layers)

    def to_dict(self) -> dict[str, Any]:
        """As the model card keeps it."""
        return {"name": "dense", **asdict(self), "layers": "-".join(map(str, self.layers))}


def parse_layers(text: str) -> tuple[int, ...]:
    """`784-128-64-32-64-128-784` as numbers. Raises UsageError."""
    try:
        layers = tuple(int(number) for number in text.split("-"))
    except ValueError:
        layers = ()
    check_layers(layers, text)
    return layers


def check_layers(layers: tuple[int, ...], text: str | None = None) -> None:
    """Raises UsageError where sizes of layers are not those of an autoencoder with one narrowest layer."""
    narrowest = min(layers, default=0)
    inside = layers[1:-1]
    if narrowest < 1 or not inside or layers[0] != layers[-1] or layers.count(narrowest) != 1:
        text = "-".join(map(str, layers)) if text is None else text
        raise UsageError(
            f"--layers {text}: give the sizes from the pixels through one narrowest layer back to the pixels, "
            "as 784-128-64-32-64-128-784"
        )
