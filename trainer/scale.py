"""What good parts read, and how much of it is due to nothing but a rough surface.

A rough frame differs from its reconstruction more than a smooth one does, everywhere, and the largest of many larger
errors is larger still: on ground metal a scratch on a smooth part scores less than a good rough part. So a reading is
told as a multiple of what good parts as rough read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from monitor.calibration import FEW
from trainer.loss import TOP_SHARE, top_mean
from trainer.tensors import mean_over_frame, upsample

SCALES = 4  # roughness and grain are told at pixels of 1, 2, 4 and 8 times the size
FAINT = 0.03  # deviations of the frame; of smaller steps between neighbours most are the camera's noise
# The slopes are held back as if this many good frames had shown that roughness does not matter: of ten held-out frames
# nearly nothing is believed, of a hundred nearly everything. Between 5 and 60 the figures hardly differ.
DOUBT = 20.0
# What is further from the rest is cut off here: one defect among the good frames would else move the scale of all.
FAR = 3.0  # robust standard deviations
PASSES = 10
LEAST = 0.2  # of the average good part's reading is expected of the smoothest, too
FOLDS = 10  # parts of the good frames, each of which is told on the scale of the others


class Reading(NamedTuple):
    """One map of the error, [N, 1, h/4, w/4] or [N, 1, h/8, w/8], the share of it that sets its scale, and its vote."""

    cells: Tensor
    top_share: float = TOP_SHARE
    weight: float = 1.0

    def top(self) -> Tensor:
        """What frames read where they are worst: [N]."""
        return top_mean(self.cells, self.top_share)

    def of(self, frames: Tensor) -> "Reading":
        """Of some of the frames: indices int [n]."""
        return self._replace(cells=self.cells[frames])


def roughness(x: Tensor) -> Tensor:
    """How rough normalised frames float [N, C, H, W] are at each scale: [N, `SCALES`].

    It is the mean logarithm of the step between neighbouring pixels, which a small defect moves little, however bright.
    """
    values = []
    for i in range(SCALES):
        if i:
            x = F.avg_pool2d(x, 2)
        here = x[..., :-1, :-1]
        step = (x[..., 1:, :-1] - here).abs() + (x[..., :-1, 1:] - here).abs()
        values.append(mean_over_frame((step + FAINT).log()).flatten(1))
    return torch.cat(values, dim=1)


@dataclass(frozen=True, eq=False)
class Surface:
    """How rough good frames are: what puts `roughness` on their scale."""

    mean: Tensor = field(default_factory=lambda: torch.zeros(SCALES))
    std: Tensor = field(default_factory=lambda: torch.ones(SCALES))
    low: Tensor = field(default_factory=lambda: torch.full((SCALES,), -torch.inf))
    high: Tensor = field(default_factory=lambda: torch.full((SCALES,), torch.inf))

    @classmethod
    def of(cls, rough: Tensor) -> "Surface":
        """Of good frames' roughness [N, `SCALES`]."""
        std = rough.std(dim=0).clamp_min(1e-3)
        return cls(rough.mean(dim=0), std, rough.amin(dim=0), rough.amax(dim=0))

    def __call__(self, rough: Tensor) -> Tensor:
        """Roughness [N, `SCALES`] in deviations of good frames; what is rougher than all counts as the roughest."""
        return (torch.minimum(torch.maximum(rough, self.low), self.high) - self.mean) / self.std


@dataclass(frozen=True, eq=False)
class Expectation:
    """What a good part reads where it is worst, above the usual background: its mean, and what roughness adds."""

    background: float
    mean: float
    slopes: Tensor  # [`SCALES`], for each deviation of roughness

    @classmethod
    def of(cls, background: Tensor, tops: Tensor, rough: Tensor) -> "Expectation":
        """Of good frames: the median cell of each [N], its top mean [N], its roughness in deviations [N, `SCALES`].

        The slopes are a ridge regression whose errors are cut off (Huber, "Robust Statistics", 1981, chapter 7).
        """
        usual = background.median()
        above = tops - usual
        mean, slopes = above.median(), torch.zeros(SCALES)
        doubt = DOUBT * torch.eye(SCALES)
        for _ in range(PASSES):
            expected = mean + rough @ slopes
            believed = expected + cut_off(above - expected)
            mean = (believed - rough @ slopes).mean()
            slopes = torch.linalg.solve(rough.T @ rough + doubt, rough.T @ (believed - mean))
        return cls(float(usual), max(float(mean), 1e-6), slopes)

    @property
    def rounding(self) -> float:
        """The spread of relative readings below which they are the rounding of the cells they came from."""
        return 1e-4 * abs(self.background) / self.mean

    def relative(self, cells: Tensor, rough: Tensor) -> Tensor:
        """Cells [N, 1, h, w] or tops [N] above the background, as multiples of good parts as rough at worst."""
        expected = (self.mean + rough @ self.slopes).clamp_min(LEAST * self.mean)
        return (cells - self.background) / expected.reshape(-1, *[1] * (cells.dim() - 1))


@dataclass(frozen=True)
class Scale:
    """Where good parts lie on a reading: mean and standard deviation."""

    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of(cls, values: Tensor, least: float = 1e-6) -> "Scale":
        """Of values [N], those far out cut off; `least` is the smallest spread that is more than rounding."""
        believed = cut_off(values)
        mean = float(believed.mean())
        # A spread of zero would turn the smallest difference into a defect; with very few frames it is possible.
        return cls(mean, max(float(believed.std()), 1e-4 * abs(mean), least))

    def deviations(self, cells: Tensor) -> Tensor:
        """How many standard deviations above the average good part."""
        return (cells - self.mean) / self.std


@dataclass(frozen=True, eq=False)
class Standard:
    """What good parts read: what puts the readings of a frame, and their sum, on the scale of good parts."""

    surface: Surface = field(default_factory=Surface)
    expectations: tuple[Expectation, ...] = ()  # one for each reading
    scales: tuple[Scale, ...] = ()  # the same
    total: Scale = field(default_factory=Scale)  # of their sum

    @classmethod
    def of(cls, readings: Sequence[Reading], rough: Tensor) -> "Standard":
        """Of good frames that the weights never saw: their readings and their roughness [N, `SCALES`]."""
        surface = Surface.of(rough)
        rough = surface(rough)
        tops = [reading.top() for reading in readings]
        medians = [reading.cells.flatten(1).median(dim=1).values for reading in readings]
        expectations = [Expectation.of(median, top, rough) for median, top in zip(medians, tops, strict=True)]
        scales = [
            Scale.of(expectation.relative(top, rough), least=max(expectation.rounding, 1e-6))
            for expectation, top in zip(expectations, tops, strict=True)
        ]
        parts = cls(surface, tuple(expectations), tuple(scales))
        return replace(parts, total=Scale.of(top_mean(parts.sum(readings, rough)), least=0.01))

    def __call__(self, readings: Sequence[Reading], rough: Tensor) -> Tensor:
        """How many standard deviations above good parts each place is: [N, 1, h/4, w/4]."""
        return self.total.deviations(self.sum(readings, self.surface(rough)))

    def sum(self, readings: Sequence[Reading], rough: Tensor) -> Tensor:
        """Readings in standard deviations of good parts, weighted and added up by place; `rough` in deviations."""
        maps = [
            reading.weight * scale.deviations(expectation.relative(reading.cells, rough))
            for reading, expectation, scale in zip(readings, self.expectations, self.scales, strict=True)
        ]
        size = maps[0].shape[-2:]
        return torch.stack([cells if cells.shape[-2:] == size else upsample(cells) for cells in maps]).sum(dim=0)


def cross_fitted(groups: NDArray[np.int64], score: Callable[[Tensor, Tensor], Tensor]) -> NDArray[np.float32]:
    """What good frames score where none had a say in the scale it is told on: float32 [N].

    What was fitted to lies closer to the mean than another good part will. `groups`: int [N], frames of one group are
    near-twins and stay together; `score` takes indices of the frames that set the scale and of those that are told on
    it, and returns what the latter score. Of fewer than `FEW` groups all are told on the scale of all.
    """
    names, members = np.unique(groups, return_inverse=True)
    if len(names) < FEW:
        everything = torch.arange(len(groups))
        return score(everything, everything).numpy()
    fold_of = torch.from_numpy(np.random.default_rng(0).permutation(len(names)) % FOLDS)[members]
    scores = torch.empty(len(groups))
    for fold in range(FOLDS):
        told = (fold_of == fold).nonzero()[:, 0]
        scores[told] = score((fold_of != fold).nonzero()[:, 0], told)
    return scores.numpy()


def cut_off(values: Tensor) -> Tensor:
    """Values [N], those beyond `FAR` robust deviations (median, MAD) cut off there."""
    median = values.median()
    far = FAR * 1.4826 * (values - median).abs().median()
    return torch.minimum(torch.maximum(values, median - far), median + far)
