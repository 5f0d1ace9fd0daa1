"""What anomaly maps of good parts are like, and how much of that is due to a rough surface alone.

A rough frame differs from its reconstruction more than a smooth one, everywhere, and the largest of many larger errors
is larger still: on ground metal a scratch on a smooth part scores less than a good rough part. So a map is expressed as
a multiple of those of good parts that are as rough.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from andon_trainer.network.tensors import mean_over_frame

SCALES = 4  # roughness and texture features are computed with pixels of 1, 2, 4 and 8 times the size
FAINT_STEP = 0.03  # deviations of the frame; smaller steps between neighbours are mostly the camera's noise
# Penalty of the ridge regression on roughness, as if this many good frames had shown that roughness does not matter:
# ten held-out frames then count for nearly nothing, a hundred for nearly everything. From 5 to 60 the figures hardly
# differ.
RIDGE_PENALTY = 20.0
# Robust standard deviations at which values are cut off: otherwise one defect among the good frames would change the
# scale of all.
MAX_DEVIATIONS = 3.0
REGRESSION_PASSES = 10
# Cells of two runtimes differ by half a millionth of their size. The maps of a network that has hardly learned anything
# are nearly flat: with a spread of less than this share of their level that difference would show in scores.
MIN_SPREAD_SHARE = 1e-2
MIN_EXPECTED_SHARE = 0.2  # of the average good part's map is expected of the smoothest part, too
# No more is expected of a part than of three quarters of the good ones. Wear and dirt are rough all over: where that
# excused a part up to the roughest good one, pitted ball screws scored no higher than good ones.
EXPECTED_QUANTILE = 0.75
MIN_STD = 1e-6  # a smaller spread is rounding
MIN_STD_SHARE = 1e-4  # of the mean
MIN_ROUGHNESS_STD = 1e-3
MAD_TO_STD = 1.4826  # the standard deviation of normal values, as a multiple of their median absolute deviation


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
        values.append(mean_over_frame((step + FAINT_STEP).log()).flatten(1))
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
        std = rough.std(dim=0).clamp_min(MIN_ROUGHNESS_STD)
        return cls(rough.mean(dim=0), std, rough.amin(dim=0), rough.amax(dim=0))

    def __call__(self, rough: Tensor) -> Tensor:
        """Roughness [N, `SCALES`] in deviations of good frames; a rougher frame counts as the roughest of them."""
        return (torch.minimum(torch.maximum(rough, self.low), self.high) - self.mean) / self.std


@dataclass(frozen=True, eq=False)
class Expectation:
    """The top of a good part's map above the usual background: its mean, and what roughness adds to it."""

    background: float
    mean: float
    slopes: Tensor  # [`SCALES`], for each deviation of roughness
    highest: float = math.inf  # no more is expected of any part

    @classmethod
    def of(cls, background: Tensor, tops: Tensor, rough: Tensor | None) -> "Expectation":
        """Of good frames: the median cell of each [N], its top mean [N], its roughness in deviations [N, `SCALES`].

        The slopes come from a ridge regression whose errors are cut off (Huber, "Robust Statistics", 1981, chapter 7);
        without roughness they are 0.
        """
        usual = background.median()
        above = tops - usual
        if rough is None:
            rough = torch.zeros(len(tops), SCALES)
        mean, slopes = above.median(), torch.zeros(SCALES)
        penalty = RIDGE_PENALTY * torch.eye(SCALES)
        for _ in range(REGRESSION_PASSES):
            expected = mean + rough @ slopes
            believed = expected + cut_off(above - expected)
            mean = (believed - rough @ slopes).mean()
            slopes = torch.linalg.solve(rough.T @ rough + penalty, rough.T @ (believed - mean))
        mean = mean.clamp_min(MIN_STD)
        highest = (mean + rough @ slopes).quantile(EXPECTED_QUANTILE)
        return cls(float(usual), float(mean), slopes, float(highest.clamp_min(MIN_EXPECTED_SHARE * mean)))

    @property
    def rounding(self) -> float:
        """The smallest spread of relative maps at which the rounding of their cells changes no score visibly."""
        return MIN_SPREAD_SHARE * abs(self.background) / self.mean

    def relative(self, cells: Tensor, rough: Tensor | None) -> Tensor:
        """Cells [N, 1, h, w] above the background, as multiples of the top of good parts that are as rough.

        Without `rough` they are multiples of the top of the average good part.
        """
        if rough is None:
            return (cells - self.background) / self.mean
        expected = (self.mean + rough @ self.slopes).clamp(MIN_EXPECTED_SHARE * self.mean, self.highest)
        return (cells - self.background) / expected.reshape(-1, 1, 1, 1)


@dataclass(frozen=True)
class Scale:
    """The tops of good parts on a map: mean and standard deviation."""

    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of(cls, values: Tensor, min_std: float = MIN_STD) -> "Scale":
        """Of values [N], outliers cut off; `min_std` is the smallest spread that is more than rounding."""
        believed = cut_off(values)
        mean = float(believed.mean())
        # With a spread of zero, possible with very few frames, the smallest difference would be a defect.
        return cls(mean, max(float(believed.std()), MIN_STD_SHARE * abs(mean), min_std))

    def deviations(self, cells: Tensor) -> Tensor:
        """How many standard deviations above the average good part."""
        return (cells - self.mean) / self.std


def cut_off(values: Tensor) -> Tensor:
    """Values [N], cut off at `MAX_DEVIATIONS` robust deviations (median, MAD) from their median."""
    median = values.median()
    far = MAX_DEVIATIONS * MAD_TO_STD * (values - median).abs().median()
    return torch.minimum(torch.maximum(values, median - far), median + far)
