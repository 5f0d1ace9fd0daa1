"""What `fit` was asked for."""

from dataclasses import dataclass, field

from andon_trainer.architecture import Kind, Loss
from andon_trainer.training.schedule import FitOptions


@dataclass(frozen=True)
class DenseOptions:
    """The dense architecture instead of the convolutional one: sizes of its layers, and its kind."""

    layers: tuple[int, ...]
    kind: Kind = "plain"


@dataclass(frozen=True)
class BuildOptions:
    """All of it; `budget` is in seconds and covers everything, training and what follows it.

    Without a `side` the images choose the resolution, without `networks` the budget how many are trained; `size` is one
    of `WIDTHS`. With `keep_outliers` every held-out image sets the threshold, also one that scores like no good part.
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
    dense: DenseOptions | None = None
    loss: Loss = "l1-ssim"
    fit: FitOptions = field(default_factory=FitOptions)
