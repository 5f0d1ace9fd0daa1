"""How a surface is textured, place by place: what is told without any training.

The error head and its features know what the training showed them. Fixed filters know nothing, so they are no surer of
the images that were learned from than of others, and are wrong about other parts than the network is: added up, the two
tell more than either.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from andon_trainer.architecture import FEATURE_STRIDE
from andon_trainer.scoring.scale import FAINT, SCALES

STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # (rows, columns) to the neighbour: the four directions


class Grain(nn.Module):
    """The strength of edges and of ridges in four directions at four scales, and the brightness, of each 8 x 8 pixels.

    Where frames are `pooling` times as large as what the network sees, so are the cells, and there are finer scales.
    Textures differ from frame to frame: of them each is told twice, of the place and as the frame's mean, so that what
    is compared is a place of a surface like this one. Parts are alike, and the mean tells of the camera's noise and
    focus alone: of them each strength is told as a multiple of the frame's mean, which another camera hardly moves.
    """

    filters: Tensor  # [8, 1, 3, 3]

    def __init__(self, texture: bool, pooling: int = 1) -> None:
        super().__init__()
        self.texture = texture
        self.cell = FEATURE_STRIDE * pooling
        self.scales = SCALES + pooling.bit_length() - 1
        self.register_buffer("filters", edges_and_ridges())

    def forward(self, x: Tensor) -> Tensor:
        """Normalised frames float [N, C, H, W] to [N, F, h, w] of cells: F 8 * scales + C, of textures twice it."""
        grey = x.mean(dim=1, keepdim=True)
        answers = []
        for i in range(self.scales):
            size = 2**i
            seen = F.avg_pool2d(grey, size) if i else grey
            answer = F.conv2d(F.pad(seen, (1, 1, 1, 1), mode="reflect"), self.filters).abs()
            if size < self.cell:
                answer = F.avg_pool2d(answer, self.cell // size)
            answers.append((answer + FAINT).log())
        strength, brightness = torch.cat(answers, dim=1), F.avg_pool2d(x, self.cell)
        if not self.texture:
            return torch.cat([strength - mean_over_places(strength), brightness], dim=1)
        here = torch.cat([strength, brightness], dim=1)
        return torch.cat([here, mean_over_places(here).expand_as(here)], dim=1)


def mean_over_places(x: Tensor) -> Tensor:
    """The mean of each channel, [N, C, H, W] to [N, C, 1, 1], one axis after the other: see `mean_over_frame`."""
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
