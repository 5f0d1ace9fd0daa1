"""What the autoencoder is trained to minimise."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from andon_trainer.architecture import MAP_STRIDE, Loss
from andon_trainer.network.conv_dense import Output
from andon_trainer.network.tensors import top_mean

# Weights were measured on textures and on parts; within a factor of two they matter little.
FOCAL_WEIGHT = 10.0
DICE_WEIGHT = 0.5
IMAGE_WEIGHT = 0.5
SSIM_WEIGHT = 0.5


class Parts(NamedTuple):
    """The parts of the loss, scalars; `total` is what is minimised."""

    reconstruction: Tensor
    map: Tensor
    image: Tensor

    @property
    def total(self) -> Tensor:
        return self.reconstruction + self.map + self.image


def loss(output: Output, clean: Tensor, mask: Tensor, kind: Loss = "l1-ssim") -> Parts:
    """The loss of a network's output for corrupted frames.

    `clean`: the frames before corruption, float [N, C, H, W], normalised; `mask`: where they were corrupted, float
    [N, 1, H, W] in 0..1; `kind`: the kind of reconstruction loss.
    """
    reconstruction = reconstruction_loss(output.reconstruction.float(), F.avg_pool2d(clean, 2), kind)

    logits = output.logits.float()
    cells = F.max_pool2d(mask, MAP_STRIDE)  # a defect smaller than a cell still marks it
    map_loss = FOCAL_WEIGHT * focal(logits, cells) + DICE_WEIGHT * dice(logits, cells)

    defective = (mask.flatten(1).amax(dim=1) > 0.5).float()  # [N]
    image_loss = IMAGE_WEIGHT * F.binary_cross_entropy_with_logits(top_mean(logits), defective)
    return Parts(reconstruction, map_loss, image_loss)


def reconstruction_loss(reconstruction: Tensor, target: Tensor, kind: Loss) -> Tensor:
    """The difference between a reconstruction and its target, float [N, C, h, w] each, normalised; 0 where equal.

    For `bce` both are logits: a cross-entropy needs targets in 0..1, and the sigmoid maps grey levels there around the
    frame's own mean. The target's entropy, the smallest possible value, is subtracted.
    """
    if kind == "mse":
        return F.mse_loss(reconstruction, target)
    if kind == "bce":
        probability = torch.sigmoid(target)
        entropy = F.binary_cross_entropy_with_logits(target, probability)
        return F.binary_cross_entropy_with_logits(reconstruction, probability) - entropy
    similarity = structural_similarity(reconstruction, target)
    return F.smooth_l1_loss(reconstruction, target) + SSIM_WEIGHT * (1 - similarity)


def focal(logits: Tensor, target: Tensor, gamma: float = 2.0, alpha: float = 0.75) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017) for soft targets in 0..1: easy cells, which are most, weigh little."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    error = (torch.sigmoid(logits) - target).abs()
    balance = alpha * target + (1 - alpha) * (1 - target)
    return (balance * error**gamma * cross_entropy).mean()


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - the Dice overlap (Milletari et al., 3DV 2016) over the whole batch, which frames without defects need."""
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * target).sum() + 1
    return 1 - overlap / (probability.square().sum() + target.square().sum() + 1)


def structural_similarity(a: Tensor, b: Tensor, window: int = 8) -> Tensor:
    """Mean contrast and structure similarity, the last two factors of SSIM (Wang et al., 2004), with a box window.

    The first factor compares local means relative to themselves, which says nothing for normalised frames, whose means
    are around zero; the smooth L1 loss compares those. The constant is for a range of four spreads. Windows are half
    a window apart: four of them see every pixel but those at the border. With one around every pixel a training step of
    large colour frames takes a third as long again. Gradients go to `a` alone, `b` is what is right.
    """

    def means(*values: Tensor) -> tuple[Tensor, ...]:
        return F.avg_pool2d(torch.cat(values, dim=1), window, window // 2).chunk(len(values), dim=1)

    with torch.no_grad():
        mean_b, mean_bb = means(b, b * b)
    mean_a, mean_aa, mean_ab = means(a, a * a, a * b)
    var_a = mean_aa - mean_a**2
    var_b = mean_bb - mean_b**2
    covariance = mean_ab - mean_a * mean_b
    stabiliser = (0.03 * 4) ** 2
    return ((2 * covariance + stabiliser) / (var_a + var_b + stabiliser)).mean()
