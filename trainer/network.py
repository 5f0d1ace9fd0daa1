"""The autoencoder: convolutional encoder, dense latent vector, decoder, and the head that reads the error.

A plain autoencoder scores a part by the difference between the frame and its reconstruction. That difference is largest
at harmless edges, so here a small network, the error head, learns what in the difference is a defect (Zavrtanik et al.,
"DRAEM", ICCV 2021), trained on good frames that were corrupted on purpose.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 32  # the encoder halves the frame five times, so frame sides are multiples of this
MAP_STRIDE = 4  # the logit map is a quarter of the frame
FEATURE_STRIDE = 8  # the features that the patch memory compares are an eighth of it

# Added to a frame's variance before its root is taken: frames with less contrast than 1/30 of the grey scale are not
# stretched to full contrast, as noise would be all that is left.
VARIANCE_FLOOR = 1e-3
# A network that starts by calling 5 % of the pixels defective does not spend its warm-up learning that few are.
INITIAL_LOGIT = -3.0


@dataclass(frozen=True)
class Architecture:
    """The network's sizes. `widths` are the channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the frame."""

    height: int
    width: int
    channels: int
    widths: tuple[int, int, int, int, int] = (16, 32, 48, 64, 64)
    bottleneck_channels: int = 32
    latent: int = 64
    features: int = 32

    def to_dict(self) -> dict[str, Any]:
        """As the model card keeps it."""
        return {"name": "conv-dense", **asdict(self)}


class Output(NamedTuple):
    """What one pass gives for N frames of H x W."""

    logits: Tensor  # [N, 1, H/4, W/4] defect logit
    reconstruction: Tensor  # [N, C, H/2, W/2] in normalised units
    latent: Tensor  # [N, D]
    features: Tensor  # [N, F, H/8, W/8] what the patch memory compares


def normalise(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Subtract each frame's mean and divide by its spread; one of each over all channels, which keeps colour.

    `frames`: float [N, C, H, W] in 0..1. Returns the normalised frames and the mean and spread, each [N, 1, 1, 1].
    """
    mean = frames.mean(dim=(1, 2, 3), keepdim=True)
    spread = ((frames - mean).square().mean(dim=(1, 2, 3), keepdim=True) + VARIANCE_FLOOR).sqrt()
    return (frames - mean) / spread, mean, spread


class Block(nn.Sequential):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Encoder(nn.Module):
    """Normalised frames to features at five scales."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = arch.widths
        self.stages = nn.ModuleList(
            [
                Block(arch.channels, w1, kernel=5, stride=2),
                nn.Sequential(Block(w1, w2, stride=2), Block(w2, w2)),
                nn.Sequential(Block(w2, w3, stride=2), Block(w3, w3)),
                nn.Sequential(Block(w3, w4, stride=2), Block(w4, w4)),
                Block(w4, w5, stride=2),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        pyramid = []
        for stage in self.stages:
            x = stage(x)
            pyramid.append(x)
        return pyramid  # [N, w1, H/2, W/2] ... [N, w5, H/32, W/32]


class Bottleneck(nn.Module):
    """The dense layers into and out of the latent vector.

    They are written as convolutions that cover the whole map: the same sums, but computed frame by frame, so that a
    frame's score does not depend on which other frames share its batch.
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.shape = (arch.bottleneck_channels, arch.height // STRIDE, arch.width // STRIDE)
        count = self.shape[0] * self.shape[1] * self.shape[2]
        self.squeeze = Block(arch.widths[-1], arch.bottleneck_channels, kernel=1)
        self.encode = nn.Conv2d(arch.bottleneck_channels, arch.latent, kernel_size=self.shape[1:])
        self.decode = nn.Conv2d(arch.latent, count, kernel_size=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.encode(self.squeeze(x))  # [N, D, 1, 1]
        x = F.relu(self.decode(latent)).reshape(-1, *self.shape)  # [N, B, H/32, W/32]
        return latent.flatten(1), x


class Decoder(nn.Module):
    """The latent vector's map to a reconstruction at half size, with no path around the latent vector."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = arch.widths
        sizes = [arch.bottleneck_channels, w5, w4, w3, w2]
        self.stages = nn.ModuleList(Block(a, b) for a, b in pairwise(sizes))
        self.last = Block(w2, w1)
        self.to_pixels = nn.Conv2d(w1, arch.channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](x)  # [N, w5, H/32, W/32]
        for stage in self.stages[1:]:
            x = stage(upsample(x))  # ... [N, w2, H/4, W/4]
        x = self.last(upsample(x))  # [N, w1, H/2, W/2]
        pixels: Tensor = self.to_pixels(x)
        return pixels  # [N, C, H/2, W/2]


class ErrorHead(nn.Module):
    """The learned reconstruction error: frame, reconstruction and difference to a logit for every 4 x 4 pixels."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = arch.widths
        # The frame comes at full resolution, folded into channels; reconstruction and difference at half of it.
        self.error1 = Block(arch.channels * 4 + arch.channels * 2, w1)
        self.error2 = Block(w1, w2, stride=2)
        self.error3 = Block(w2, w3, stride=2)
        self.up4 = Block(w4 + w5, w4)
        self.up3 = Block(w3 + w3 + w4, arch.features)
        self.up2 = Block(w2 + w2 + arch.features, arch.features)
        self.to_logit = nn.Conv2d(arch.features, 1, kernel_size=1)
        nn.init.constant_(self.to_logit.bias, INITIAL_LOGIT)  # type: ignore[arg-type]

    def forward(self, x: Tensor, reconstruction: Tensor, pyramid: list[Tensor]) -> tuple[Tensor, Tensor]:
        difference = F.avg_pool2d(x, 2) - reconstruction  # [N, C, H/2, W/2]
        e1 = self.error1(torch.cat([F.pixel_unshuffle(x, 2), reconstruction, difference], dim=1))  # [N, w1, H/2, W/2]
        e2 = self.error2(e1)  # [N, w2, H/4, W/4]
        e3 = self.error3(e2)  # [N, w3, H/8, W/8]
        u = self.up4(torch.cat([pyramid[3], upsample(pyramid[4])], dim=1))  # [N, w4, H/16, W/16]
        features = self.up3(torch.cat([pyramid[2], e3, upsample(u)], dim=1))  # [N, F, H/8, W/8]
        u = self.up2(torch.cat([pyramid[1], e2, upsample(features)], dim=1))  # [N, F, H/4, W/4]
        return self.to_logit(u), features


class Autoencoder(nn.Module):
    """Encoder, dense latent vector, decoder and error head; takes normalised frames float [N, C, H, W]."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        self.encoder = Encoder(arch)
        self.bottleneck = Bottleneck(arch)
        self.decoder = Decoder(arch)
        self.head = ErrorHead(arch)

    def forward(self, x: Tensor) -> Output:
        pyramid = self.encoder(x)
        latent, code = self.bottleneck(pyramid[-1])
        reconstruction = self.decoder(code)
        logits, features = self.head(x, reconstruction, pyramid)
        return Output(logits, reconstruction, latent, features)


def upsample(x: Tensor) -> Tensor:
    """Double height and width by repeating pixels."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def to_unit(frames: Tensor) -> Tensor:
    """uint8 [N, H, W, C] to float32 [N, C, H, W] in 0..1."""
    return frames.permute(0, 3, 1, 2).float() / 255
