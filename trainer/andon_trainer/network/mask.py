"""Masked pixels: what they show never reaches the network, and cells of maps that they touch do not count.

In each frame they are replaced by what good parts show there on average, in this frame's light. Mean and contrast of
the frame are those of its other pixels, so that nothing depends on a masked pixel, to the last bit.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from andon_monitor.model.anomaly_map import NOT_INSPECTED
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked, touched_cells
from torch import Tensor, nn

from andon_trainer.network.registration import warp
from andon_trainer.network.tensors import MIN_TOP_CELLS, TOP_SHARE, VARIANCE_FLOOR, evenly, mean_over_frame, to_unit

FILL_FRAMES = 200  # good frames, evenly from all, whose mean is shown where nothing is inspected
BATCH_FRAMES = 32


class HiddenCells(NamedTuple):
    """The cells of a map that are not inspected, of a part that lies at rest or as each frame shows it."""

    hidden: Tensor  # bool [N or 1, 1, h, w]
    inspected: int  # cells of a part at rest that are

    def apply(self, cells: Tensor) -> Tensor:
        """Cells float [N, 1, h, w] with `NOT_INSPECTED` where they are hidden."""
        return torch.where(self.hidden, NOT_INSPECTED, cells)

    def top_mean(self, cells: Tensor, share: float = TOP_SHARE) -> Tensor:
        """The mean of the largest `share` of the inspected cells, of `MIN_TOP_CELLS` at least: [N, 1, h, w] to [N].

        NaN for a part that lies so that fewer cells of it are in the frame.
        """
        count = min(max(MIN_TOP_CELLS, round(share * self.inspected)), self.inspected)
        top = self.apply(cells).flatten(1).topk(count, dim=1).values
        return torch.where(top[:, -1] > NOT_INSPECTED / 2, top.mean(dim=1), torch.nan)


class MaskedFrames(NamedTuple):
    """Where N frames are masked, float [N or 1, 1, H, W] above 0, as the mask lies on each part."""

    masked: Tensor
    mask: "FrameMask"

    def cells(self, like: Tensor) -> HiddenCells:
        """The hidden cells of a map [N, C, h, w]: all that a masked pixel touches."""
        stride = self.masked.shape[-1] // like.shape[-1]
        hidden = F.max_pool2d(self.masked, stride) if stride > 1 else self.masked
        return HiddenCells(hidden > 0, self.mask.inspected(stride))


class FrameMask(nn.Module):
    """Replaces masked pixels of frames; of registered ones they are given for a part at rest and move with it."""

    masked: Tensor  # float [1, 1, H, W], 1 where nothing is inspected, else 0
    fill: Tensor  # [1, C, H, W] what is shown there, normalised

    def __init__(self, masked: Masked, fill: Tensor) -> None:
        super().__init__()
        self.pixels = masked
        self.register_buffer("masked", torch.from_numpy(masked.astype(np.float32))[None, None])
        self.register_buffer("fill", fill)

    @classmethod
    @torch.no_grad()
    def fit(cls, good_frames: Pixels, masked: Masked) -> "FrameMask":
        """For good frames uint8 [N, H, W, C], registered where parts are, and their masked pixels bool [H, W]."""
        blank = cls(masked, torch.zeros(1, good_frames.shape[3], *masked.shape))
        chosen, total = evenly(good_frames, FILL_FRAMES), torch.zeros_like(blank.fill)
        for i in range(0, len(chosen), BATCH_FRAMES):
            unit = to_unit(torch.from_numpy(chosen[i : i + BATCH_FRAMES]))
            mean, spread = blank.light(unit, blank.masked)
            total += ((unit - mean) / spread).sum(dim=0, keepdim=True)
        return cls(masked, total / len(chosen))

    def forward(self, unit: Tensor, inverse_pose: Tensor | None = None) -> tuple[Tensor, MaskedFrames]:
        """Frames float [N, C, H, W] in 0..1, their masked pixels replaced, and where these are.

        `inverse_pose`: [N, 4], of frames as the camera took them, whose parts are not at rest.
        """
        both = torch.cat([self.masked, self.fill], dim=1)
        if inverse_pose is not None:
            both = warp(both.expand(unit.shape[0], -1, -1, -1), inverse_pose)
        masked, fill = both[:, :1], both[:, 1:]
        mean, spread = self.light(unit, masked)
        return torch.where(masked > 0, fill * spread + mean, unit), MaskedFrames(masked, self)

    def light(self, unit: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and contrast of the pixels that are not masked, each [N, 1, 1, 1]."""
        seen = (masked <= 0).float()
        share = mean_over_frame(seen).clamp_min(1e-6)
        mean = mean_over_frame(unit * seen) / share
        spread = (mean_over_frame((unit - mean).square() * seen) / share + VARIANCE_FLOOR).sqrt()
        return mean, spread

    def inspected(self, stride: int = 1) -> int:
        """How many cells of `stride` x `stride` pixels no masked pixel touches."""
        return int(np.count_nonzero(~touched_cells(self.pixels, stride)))

    def at_rest(self, like: Tensor) -> HiddenCells:
        """The hidden cells of a map [N, C, h, w] of registered frames."""
        return MaskedFrames(self.masked, self).cells(like)

    def shrunk(self, pooling: int) -> "FrameMask":
        """The same for frames `pooling` times as low and narrow."""
        if pooling == 1:
            return self
        return FrameMask(touched_cells(self.pixels, pooling), F.avg_pool2d(self.fill, pooling))
