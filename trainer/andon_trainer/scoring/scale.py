"""What good parts read, and how much of it is due to nothing but a rough surface.

A rough frame differs from its reconstruction more than a smooth one does, everywhere, and the largest of many larger
errors is larger still: on ground metal a scratch on a smooth part scores less than a good rough part. So a reading is
told as a multiple of what good parts as rough read.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from andon_trainer.network.tensors import mean_over_frame

SCALES = 4  # roughness and grain are told at pixels of 1, 2, 4 and 8 times the size
FAINT = 0.03  # deviations of the frame; of smaller steps between neighbours most are the camera's noise
# The slopes are held back as if this many good frames had shown that roughness does not matter: of ten held-out frames
# nearly nothing is believed, of a hundred nearly everything. Between 5 and 60 the figures hardly differ.
DOUBT = 20.0
# What is further from the rest is cut off here: one defect among the good frames would else move the scale of all.
FAR = 3.0  # robust standard deviations
PASSES = 10
# Cells of two runtimes differ by half a millionth of their size. A network that has hardly learned anything reads
# nearly the same everywhere: with a spread of less than this share of it that difference would be seen in scores.
ROUNDING = 1e-2
LEAST = 0.2  # of the average good part's reading is expected of the smoothest, too


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
        """The least spread of relative readings for which the rounding of their cells moves no score visibly."""
        return ROUNDING * abs(self.background) / self.mean

    def relative(self, cells: Tensor, rough: Tensor) -> Tensor:
        """Cells [N, 1, h, w] above the background, as multiples of what good parts as rough read at their worst."""
        expected = (self.mean + rough @ self.slopes).clamp_min(LEAST * self.mean)
        return (cells - self.background) / expected[:, None, None, None]


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


def cut_off(values: Tensor) -> Tensor:
    """Values [N], those beyond `FAR` robust deviations (median, MAD) cut off there."""
    median = values.median()
    far = FAR * 1.4826 * (values - median).abs().median()
    return torch.minimum(torch.maximum(values, median - far), median + far)
