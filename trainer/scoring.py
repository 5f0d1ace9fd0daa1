"""From the network's outputs to one score: what is exported as the model's graph.

Two readings of the error make the score. The error head's logits say where the frame differs from its reconstruction in
a way that corruption taught. The patch memory says where its features are like none that good parts have (Roth et al.,
"PatchCore", CVPR 2022, here on the autoencoder's own features). Each is a map; each is put on the scale of good parts
that the weights never saw; the anomaly map is their sum and the score is read off the map's largest values.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from monitor.imaging import Pixels
from trainer.architecture import FEATURE_STRIDE, MAP_STRIDE
from trainer.loss import top_count
from trainer.network import Autoencoder
from trainer.tensors import normalise, to_unit, upsample

# A score of 1 is the average good part and each standard deviation of good parts adds this much, so that scores are
# positive and their ratio to the threshold (about 1.6 to 2) can be read in one histogram for all models.
DEVIATION = 0.2
MEMORY_SIZE = 2000  # patches kept
MEMORY_DRAWN = 10000  # patches they are chosen from
# With fewer images of good parts a memory has holes: what no training image happened to show counts as a defect.
MEMORY_MIN_IMAGES = 100
MEMORY_TOP_SHARE = 0.01
BATCH = 16


@dataclass(frozen=True)
class Scale:
    """Where good parts lie on a reading: the mean and standard deviation over held-out good frames."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Scale":
        # A spread of zero would turn the smallest difference into a defect; with very few frames it is possible.
        return cls(float(values.mean()), max(float(values.std(ddof=1)), 1e-4 * abs(float(values.mean())), 1e-6))


class PatchMemory(nn.Module):
    """Distances to the nearest of the features that good parts have, after whitening.

    The nearest of M patches is found by one 1 x 1 convolution with M outputs, which computes every frame alone.
    """

    blur: Tensor

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.whiten = nn.Conv2d(features, features, kernel_size=1)
        self.compare = nn.Conv2d(features, size, kernel_size=1)
        blur = torch.tensor([math.exp(-0.5 * (d / 0.7) ** 2) for d in (-1, 0, 1)])
        kernel = torch.outer(blur, blur) / blur.sum() ** 2
        self.register_buffer("blur", kernel[None, None])

    @classmethod
    def fit(cls, features: Tensor, seed: int) -> "PatchMemory":
        """Whiten and choose patches: features float [N, F, h, w] of good frames."""
        generator = torch.Generator().manual_seed(seed)
        flat = features.permute(0, 2, 3, 1).flatten(0, 2)  # [N*h*w, F]
        mean = flat.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov((flat - mean).T))
        # Directions in which good parts hardly vary are not blown up beyond a thousandth of the widest one.
        turn = (vectors / (values.clamp_min(0) + 1e-3 * values.max()).sqrt()).T  # [F, F]
        drawn = flat[torch.randperm(len(flat), generator=generator)[:MEMORY_DRAWN]]
        patches = farthest_points((drawn - mean) @ turn.T, min(MEMORY_SIZE, len(drawn)))
        memory = cls(features.shape[1], len(patches))
        with torch.no_grad():
            memory.whiten.weight.copy_(turn[:, :, None, None])
            memory.whiten.bias.copy_(-turn @ mean)  # type: ignore[union-attr]
            # |f - p|^2 = |f|^2 - 2 f.p + |p|^2: the convolution gives the last two terms.
            memory.compare.weight.copy_(-2 * patches[:, :, None, None])
            memory.compare.bias.copy_(patches.square().sum(dim=1))  # type: ignore[union-attr]
        return memory

    def forward(self, features: Tensor) -> Tensor:
        """Features [N, F, h, w] to distances [N, 1, h, w]."""
        white = self.whiten(features)
        nearest = self.compare(white).amin(dim=1, keepdim=True)
        squared = (white.square().sum(dim=1, keepdim=True) + nearest).clamp_min(0)
        # Near zero the sum above is rounding noise, which a bare root would magnify; one unit is a small distance here.
        distance = (squared + 1).sqrt()
        return F.conv2d(F.pad(distance, (1, 1, 1, 1), mode="replicate"), self.blur)


def farthest_points(points: Tensor, count: int) -> Tensor:
    """Choose `count` of `points` [n, F], each the farthest from those before (greedy k-centre, Gonzalez 1985)."""
    chosen = torch.zeros(count, dtype=torch.long)
    nearest = torch.full((len(points),), math.inf)
    for i in range(1, count):
        nearest = torch.minimum(nearest, (points - points[chosen[i - 1]]).square().sum(dim=1))
        chosen[i] = nearest.argmax()
    return points[chosen]


class Detector(nn.Module):
    """The exported graph: uint8 frames to score, anomaly map, reconstruction and latent vector."""

    def __init__(self, network: Autoencoder, memory: PatchMemory | None) -> None:
        super().__init__()
        self.network = network
        self.memory = memory
        height, width = network.arch.height, network.arch.width
        self.head_top = top_count((height // MAP_STRIDE) * (width // MAP_STRIDE))
        self.memory_top = max(2, round(MEMORY_TOP_SHARE * (height // FEATURE_STRIDE) * (width // FEATURE_STRIDE)))
        self.head_scale = Scale(0.0, 1.0)
        self.memory_scale = Scale(0.0, 1.0)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames uint8 [N, H, W, C] to score [N], map [N, H/4, W/4], reconstruction like the frames, latent [N, D]."""
        x, mean, spread = normalise(to_unit(frames))
        output = self.network(x)
        error = (output.logits - self.head_scale.mean) / self.head_scale.std  # [N, 1, H/4, W/4]
        score = top(error, self.head_top)  # [N]
        if self.memory is not None:
            distance = (self.memory(output.features) - self.memory_scale.mean) / self.memory_scale.std
            score = score + top(distance, self.memory_top)
            error = error + upsample(distance)
        pixels = F.interpolate(output.reconstruction * spread + mean, scale_factor=2.0, mode="bilinear")
        pixels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return 1 + DEVIATION * score, 1 + DEVIATION * error[:, 0], pixels, output.latent

    @torch.no_grad()
    def readings(self, frames: Pixels) -> tuple[np.ndarray, np.ndarray]:
        """What the head and the memory say about frames uint8 [N, H, W, C], unscaled: float32 [N] each."""
        head, memory = [], []
        for i in range(0, len(frames), BATCH):
            output = self.network(normalise(to_unit(torch.from_numpy(frames[i : i + BATCH])))[0])
            head.append(top(output.logits, self.head_top))
            distance = torch.zeros_like(output.logits) if self.memory is None else self.memory(output.features)
            memory.append(top(distance, self.memory_top))
        return torch.cat(head).numpy(), torch.cat(memory).numpy()

    def standardise(self, good_frames: Pixels) -> None:
        """Put both readings on the scale of these good frames, which the weights never saw."""
        head, memory = self.readings(good_frames)
        self.head_scale, self.memory_scale = Scale.of(head), Scale.of(memory)


def top(cells: Tensor, count: int) -> Tensor:
    """The mean of the `count` largest values of each map: [N, 1, h, w] to [N]."""
    return cells.flatten(1).topk(count, dim=1).values.mean(dim=1)


@torch.no_grad()
def build_detector(network: Autoencoder, training_frames: Pixels, held_out: Pixels, seed: int) -> Detector:
    """The whole detector from a trained network: memory from the training frames, scales from the held-out ones."""
    memory = None
    if len(training_frames) >= MEMORY_MIN_IMAGES:
        features = [
            network(normalise(to_unit(torch.from_numpy(training_frames[i : i + BATCH])))[0]).features
            for i in range(0, len(training_frames), BATCH)
        ]
        memory = PatchMemory.fit(torch.cat(features), seed)
    detector = Detector(network, memory).eval()
    detector.standardise(held_out)
    return detector
