"""The autoencoder: convolutional encoder, dense latent vector, decoder, and the head that reads the error.

The reconstruction is the sum of two: that of the linear (PCA) branch, and what the convolutional branch, whose
bottleneck is dense, adds to it. Their codes together are the latent vector.

A plain autoencoder scores a part by the difference between the frame and its reconstruction. That difference is largest
at harmless edges. So a small network, the error head, learns what in the difference is a defect (Zavrtanik et al.,
"DRAEM", ICCV 2021), from good frames that were corrupted on purpose.
"""

import copy
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from andon_trainer.architecture import STRIDE, Architecture
from andon_trainer.network.linear import LinearAutoencoder, LinearOutput
from andon_trainer.network.tensors import round_to_bytes, round_to_half, upsample

# At the start the network calls 5 % of the pixels defective, so it need not learn first that few are.
INITIAL_LOGIT = -3.0


class Output(NamedTuple):
    """What one pass gives for N frames of H x W."""

    logits: Tensor  # [N, 1, H/4, W/4] defect logit
    reconstruction: Tensor  # [N, C, H/2, W/2] in normalised units
    latent: Tensor  # [N, D]
    features: Tensor  # [N, F, H/8, W/8] what the patch memory compares
    difference: Tensor | None  # [N, C, H/2, W/2] to the linear reconstruction, in deviations; None on textures


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

    They are convolutions that cover the whole map: the same sums, computed frame by frame, so that a frame's score does
    not depend on the other frames of its batch.
    """

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.shape = (arch.bottleneck_channels, arch.height // STRIDE, arch.width // STRIDE)
        count = self.shape[0] * self.shape[1] * self.shape[2]
        self.squeeze = Block(arch.widths[-1], arch.bottleneck_channels, kernel=1)
        self.encode = nn.Conv2d(arch.bottleneck_channels, arch.latent, kernel_size=self.shape[1:])
        self.decode = nn.Conv2d(arch.latent, count, kernel_size=1)

    def narrow(self, x: Tensor) -> Tensor:
        """The encoder's last features [N, w5, H/32, W/32] to the latent vector [N, D]."""
        latent: Tensor = self.encode(self.squeeze(x))  # [N, D, 1, 1]
        return latent.flatten(1)

    def widen(self, latent: Tensor) -> Tensor:
        """The latent vector [N, D] to what the decoder starts from, [N, B, H/32, W/32]."""
        return F.relu(self.decode(latent.reshape(-1, latent.shape[1], 1, 1))).reshape(-1, *self.shape)


class Decoder(nn.Module):
    """The latent vector's map to a reconstruction at half size, with no path around the latent vector."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        _, w2, w3, w4, w5 = arch.widths
        sizes = [arch.bottleneck_channels, w5, w4, w3, w2]
        self.stages = nn.ModuleList(Block(a, b) for a, b in pairwise(sizes))
        self.to_pixels = nn.Conv2d(w2, 4 * arch.channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](x)  # [N, w5, H/32, W/32]
        for stage in self.stages[1:]:
            x = stage(upsample(x))  # ... [N, w2, H/4, W/4]
        return F.pixel_shuffle(self.to_pixels(x), 2)  # [N, C, H/2, W/2]


class ErrorHead(nn.Module):
    """The learned reconstruction error: frame, reconstruction and difference to a logit for every 4 x 4 pixels."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = arch.widths
        # The frame comes at full resolution, folded into channels; reconstruction and difference at half of it.
        self.error1 = Block(arch.channels * (4 + 1 + 1 + bool(arch.components)), w1)
        self.error2 = Block(w1, w2, stride=2)
        self.error3 = Block(w2, w3, stride=2)
        self.up4 = Block(w4 + w5, w4)
        self.up3 = Block(w3 + w3 + w4, arch.features)
        self.up2 = Block(w2 + w2 + arch.features, arch.features)
        self.to_logit = nn.Conv2d(arch.features, 1, kernel_size=1)
        nn.init.constant_(self.to_logit.bias, INITIAL_LOGIT)  # type: ignore[arg-type]

    def forward(
        self, x: Tensor, linear_difference: Tensor | None, reconstruction: Tensor, pyramid: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        difference = F.avg_pool2d(x, 2) - reconstruction
        inputs = [F.pixel_unshuffle(x, 2), reconstruction, difference]  # each [N, ., H/2, W/2]
        if linear_difference is not None:
            inputs.append(linear_difference)
        # In mixed precision the convolution would make this copy of all its inputs anyway.
        e1 = self.error1(torch.cat([each.to(pyramid[0].dtype) for each in inputs], dim=1))  # [N, w1, H/2, W/2]
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
        self.linear = LinearAutoencoder(arch) if arch.components else None
        self.encoder = Encoder(arch)
        self.bottleneck = Bottleneck(arch)
        self.decoder = Decoder(arch)
        self.head = ErrorHead(arch)

    def forward(self, x: Tensor, linear: LinearOutput | None = None) -> Output:
        """Normalised frames float [N, C, H, W]; in training the linear branch's results come from a cross-fit."""
        latent, pyramid = self.encode(x)
        reconstruction, rebuilt = self.decode(latent, linear.reconstruction if linear else None)
        return self.judge(x, latent, pyramid, reconstruction, rebuilt)

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Normalised frames to latent vectors [N, K + D], and the features of all scales that the head reads."""
        pyramid = self.encoder(x)
        latent = self.bottleneck.narrow(pyramid[-1])
        return latent if self.linear is None else torch.cat([self.linear.encode(x), latent], dim=1), pyramid

    def decode(self, latent: Tensor, rebuilt: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Latent vectors [N, K + D] to reconstructions, and the linear branch's part of them, each [N, C, H/2, W/2].

        `rebuilt` is that part from a cross-fit instead.
        """
        added = self.decoder(self.bottleneck.widen(latent[:, self.arch.components :]))
        if self.linear is None:
            return added, None
        if rebuilt is None:
            rebuilt = self.linear.decode(latent[:, : self.arch.components])
        return rebuilt + added, rebuilt

    def judge(
        self, x: Tensor, latent: Tensor, pyramid: list[Tensor], reconstruction: Tensor, rebuilt: Tensor | None
    ) -> Output:
        """The head's output for normalised frames and the results of `encode` and `decode`."""
        difference = None if self.linear is None or rebuilt is None else self.linear.compare(x, rebuilt)
        logits, features = self.head(x, difference, reconstruction, pyramid)
        return Output(logits, reconstruction, latent, features, difference)


@torch.no_grad()
def compact(network: Autoencoder) -> Autoencoder:
    """A trained network as a model file has it: normalisation is part of the convolutions, weights are rounded.

    Kernels, matrices and the components of the linear branch keep the precision of bytes, all other weights that of
    float16.
    """
    smaller = copy.deepcopy(network).eval()
    for module in smaller.modules():
        if isinstance(module, Block):
            convolution, normalisation, _ = module
            assert isinstance(convolution, nn.Conv2d)
            if isinstance(normalisation, nn.BatchNorm2d):
                module[0], module[1] = fuse_conv_bn_eval(convolution, normalisation), nn.Identity()
        if isinstance(module, LinearAutoencoder):
            module.components.copy_(round_to_bytes(module.components))
            for each in (module.mean, module.offset, module.deviation):
                each.copy_(round_to_half(each))
    for weights in smaller.parameters():
        weights.copy_(round_to_bytes(weights) if weights.ndim > 1 else round_to_half(weights))
    return smaller
