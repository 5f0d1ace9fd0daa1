"""What good parts read, and how much of it is due to nothing but a rough surface.

A rough frame gives a larger error everywhere than a smooth one, and the largest of many larger errors is larger
still: on ground metal, roughness alone explains a quarter of the variance of good parts' scores, and a scratch on a
smooth part scores less than a good rough one. So a reading is compared with what good parts of the same roughness
read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.tensors import mean_over_frame

SCALES = 4  # roughness is told at pixels of 1, 2, 4 and 8 times the size
FAINT = 0.03  # deviations of the frame; of smaller steps between neighbours most are the camera's noise
# The slopes are held back as if this many good frames had shown that roughness does not matter: of ten held-out frames
# nearly nothing is believed, of a hundred nearly everything. Between 5 and 60 the figures hardly differ.
DOUBT = 20.0
# What is further from the rest is cut off here: one defect among the good frames would else move the scale of all.
FAR = 3.0  # robust standard deviations
PASSES = 10


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
class Scale:
    """Where good parts lie on a reading: mean and standard deviation, and what each deviation of roughness adds."""

    mean: float = 0.0
    std: float = 1.0
    slopes: Tensor = field(default_factory=lambda: torch.zeros(SCALES))

    @classmethod
    def of(cls, batches: Sequence[Tensor], rough: Tensor | None = None, least: float = 1e-6) -> "Scale":
        """Of values [N], a batch at a time, of frames as rough as `rough` [N, `SCALES`] says, in deviations.

        The slopes are a ridge regression whose errors are cut off at three robust deviations (Huber, "Robust
        Statistics", 1981, chapter 7). `least` is the smallest spread that is more than rounding.
        """
        values = torch.cat(list(batches))
        rough = values.new_zeros(len(values), SCALES) if rough is None else rough
        slopes = values.new_zeros(SCALES)
        mean = values.median()
        doubt = DOUBT * torch.eye(SCALES)
        for _ in range(PASSES):
            expected = mean + rough @ slopes
            errors = cut_off(values - expected)
            believed = expected + errors
            mean = (believed - rough @ slopes).mean()
            slopes = torch.linalg.solve(rough.T @ rough + doubt, rough.T @ (believed - mean))
        std = float(cut_off(values - mean - rough @ slopes).std())
        # A spread of zero would turn the smallest difference into a defect; with very few frames it is possible.
        return cls(float(mean), max(std, 1e-4 * abs(float(mean)), least), slopes)

    def deviations(self, cells: Tensor, rough: Tensor | None = None) -> Tensor:
        """How many standard deviations above good parts of that roughness; cells [N, 1, h, w], rough [N, `SCALES`]."""
        expected = self.mean if rough is None else (self.mean + rough @ self.slopes)[:, None, None, None]
        return (cells - expected) / self.std


def cut_off(errors: Tensor) -> Tensor:
    """Errors [N], those beyond `FAR` robust deviations (median, MAD) cut off there."""
    median = errors.median()
    far = FAR * 1.4826 * (errors - median).abs().median()
    return torch.minimum(torch.maximum(errors, median - far), median + far)
