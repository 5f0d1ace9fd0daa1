"""Frames as tensors: the few functions that the network, its training and its scoring share."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from torch import Tensor

# Added to a frame's variance: frames with less contrast than 1/30 of the grey scale are not stretched to full contrast,
# because they would become nothing but noise.
VARIANCE_FLOOR = 1e-3
TOP_SHARE = 0.001  # of a map, whose mean decides about a frame: about the area of a small defect
MIN_TOP_CELLS = 4
BATCH_FRAMES = 16
BYTE_STEPS = 127  # above and below zero
SCALE_BITS = 12  # of a row's scale: products with whole numbers up to 127 are then exact in float32


def normalise(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Subtract each frame's mean and divide by its spread; one of each over all channels, which keeps colour.

    `frames`: float [N, C, H, W] in 0..1. Returns the normalised frames and the mean and spread, each [N, 1, 1, 1].
    """
    mean = mean_over_frame(frames)
    spread = (mean_over_frame((frames - mean).square()) + VARIANCE_FLOOR).sqrt()
    return (frames - mean) / spread, mean, spread


def mean_over_frame(x: Tensor) -> Tensor:
    """The mean of each frame, [N, C, H, W] to [N, 1, 1, 1], one axis after the other.

    With one call for all axes, runtimes add up 100,000 pixels in one go, and rounding changes their mean by a few
    millionths: enough for the scores of two runtimes to differ in the fourth digit.
    """
    return x.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True).mean(dim=1, keepdim=True)


def upsample(x: Tensor) -> Tensor:
    """Double height and width by repeating pixels."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def pool(x: Tensor, times: int) -> Tensor:
    """Divide height and width by averaging squares of pixels."""
    return x if times == 1 else F.avg_pool2d(x, times)


def to_unit(frames: Tensor) -> Tensor:
    """uint8 [N, H, W, C] to float32 [N, C, H, W] in 0..1."""
    return frames.permute(0, 3, 1, 2).float() / 255


def batched(frames: Pixels) -> Iterator[Tensor]:
    """Frames uint8 [N, H, W, C], a batch at a time."""
    for i in range(0, len(frames), BATCH_FRAMES):
        yield torch.from_numpy(frames[i : i + BATCH_FRAMES])


def evenly(frames: Pixels, count: int) -> Pixels:
    """At most `count` of the frames [N, H, W, C], evenly from all of them."""
    return frames[np.linspace(0, len(frames) - 1, min(len(frames), count)).round().astype(np.int64)]


def top_mean(cells: Tensor, share: float = TOP_SHARE) -> Tensor:
    """The mean of the largest `share` of each map, of `MIN_TOP_CELLS` at least: float [N, 1, h, w] to [N]."""
    count = max(MIN_TOP_CELLS, round(share * cells.shape[-2] * cells.shape[-1]))
    return cells.flatten(1).topk(count, dim=1).values.mean(dim=1)


def round_to_half(weights: Tensor) -> Tensor:
    """Weights as float16 keeps them: float, the same shape. A model file then stores them so."""
    return weights.half().float()


def round_to_bytes(rows: Tensor) -> Tensor:
    """Rows [n, ...], each rounded to multiples of a 127th of its largest number: a model file stores them as bytes."""
    fraction, power = torch.frexp(rows.abs().amax(dim=tuple(range(1, rows.ndim)), keepdim=True) / BYTE_STEPS)
    scale = torch.ldexp((fraction * 2**SCALE_BITS).ceil() / 2**SCALE_BITS, power)
    return torch.where(scale > 0, (rows / scale).round() * scale, rows)
