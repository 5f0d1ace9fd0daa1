"""Texture features: how a surface is textured, place by place, without any training.

The error head and its features know what the training showed them. Fixed filters know nothing, so they do not treat
training images differently from others, and they misjudge other parts than the network does: their sum is better than
either.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from andon_trainer.architecture import FEATURE_STRIDE
from andon_trainer.network.mask import MaskedFrames
from andon_trainer.scoring.scale import FAINT_STEP, SCALES

STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # (rows, columns) to the neighbour: the four directions


class TextureFeatures(nn.Module):
    """The strength of edges and of ridges in four directions at four scales, and the brightness, of each 8 x 8 pixels.

    Where frames are `pooling` times as large as what the network sees, so are the cells, and there are finer scales.
    Textures differ from frame to frame: each feature of theirs is given twice, for the place and as the frame's mean,
    so that a place is compared with places of similar surfaces. Parts are alike, and their mean depends on the camera's
    noise and focus alone: each strength is given as a multiple of the frame's mean, which hardly depends on the camera.
    """

    filters: Tensor  # [8, 1, 3, 3]

    def __init__(self, texture: bool, pooling: int = 1) -> None:
        super().__init__()
        self.texture = texture
        self.cell = FEATURE_STRIDE * pooling
        self.scales = SCALES + pooling.bit_length() - 1
        self.register_buffer("filters", edges_and_ridges())

    def forward(self, x: Tensor, masked: MaskedFrames | None = None) -> Tensor:
        """Normalised frames float [N, C, H, W] to [N, F, h, w] of cells: F is 8 * scales + C, twice that for
        textures. Cells that are `masked` do not count in a frame's mean."""
        scaled = x.mean(dim=1, keepdim=True)
        # The size of an answer is the sum of what is above zero of it and of its negative, which onnxruntime computes
        # as a part of the convolution, and pools in the same layout of memory.
        both = torch.cat([self.filters, -self.filters])
        answers = []
        for i in range(self.scales):
            size = 2**i
            if i:
                scaled = F.avg_pool2d(scaled, 2)
            answer = F.relu(F.conv2d(F.pad(scaled, (1, 1, 1, 1), mode="reflect"), both))
            if size < self.cell:
                answer = F.avg_pool2d(answer, self.cell // size)
            above, below = torch.split(answer, [len(self.filters)] * 2, dim=1)
            answers.append((above + below + FAINT_STEP).log())
        strength, brightness = torch.cat(answers, dim=1), F.avg_pool2d(x, self.cell)
        seen = None if masked is None else (~masked.cells(strength).hidden).float()
        if not self.texture:
            return torch.cat([strength - mean_over_places(strength, seen), brightness], dim=1)
        here = torch.cat([strength, brightness], dim=1)
        return torch.cat([here, mean_over_places(here, seen).expand_as(here)], dim=1)


def mean_over_places(x: Tensor, seen: Tensor | None = None) -> Tensor:
    """The mean of each channel, [N, C, H, W] to [N, C, 1, 1], one axis after the other: see `mean_over_frame`.

    Of the places that are `seen`, float [N, 1, H, W] of 0 and 1; all by default.
    """
    if seen is not None:
        return mean_over_places(x * seen) / mean_over_places(seen).clamp_min(1e-6)
    return x.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True)


def edges_and_ridges() -> Tensor:
    """First and second differences between neighbours in each of `STEPS`: [8, 1, 3, 3]."""
    filters = torch.zeros(2 * len(STEPS), 1, 3, 3)
    for i, (rows, columns) in enumerate(STEPS):
        length = (rows**2 + columns**2) ** 0.5
        filters[i, 0, 1 + rows, 1 + columns] = 1 / length
        filters[i, 0, 1 - rows, 1 - columns] = -1 / length
        ridge = filters[len(STEPS) + i, 0]
        ridge[1, 1] = 2
        ridge[1 + rows, 1 + columns] = ridge[1 - rows, 1 - columns] = -1
    return filters
