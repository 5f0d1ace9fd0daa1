"""Frames as tensors: the few functions that the network, its training and its scoring share."""

import numpy as np
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from torch import Tensor

# Added to a frame's variance before its root is taken: frames with less contrast than 1/30 of the grey scale are not
# stretched to full contrast, as noise would be all that is left.
VARIANCE_FLOOR = 1e-3


def normalise(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Subtract each frame's mean and divide by its spread; one of each over all channels, which keeps colour.

    `frames`: float [N, C, H, W] in 0..1. Returns the normalised frames and the mean and spread, each [N, 1, 1, 1].
    """
    mean = mean_over_frame(frames)
    spread = (mean_over_frame((frames - mean).square()) + VARIANCE_FLOOR).sqrt()
    return (frames - mean) / spread, mean, spread


def mean_over_frame(x: Tensor) -> Tensor:
    """The mean of each frame, [N, C, H, W] to [N, 1, 1, 1], one axis after the other.

    Runtimes add up in one go what is averaged in one go, and rounding then moves the mean of 100,000 pixels by a few
    millionths: enough for scores of two runtimes to differ in the fourth digit.
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


def evenly(frames: Pixels, most: int) -> Pixels:
    """At most so many of the frames [N, H, W, C], evenly from all of them."""
    return frames[np.linspace(0, len(frames) - 1, min(len(frames), most)).round().astype(np.int64)]
