"""The detector of a dense autoencoder: squared errors to one score."""

from typing import Any

import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from torch import Tensor, nn

from andon_trainer.network.dense import DenseAutoencoder
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.tensors import to_unit
from andon_trainer.scoring.detector import SCORE_PER_DEVIATION, AnomalyMap, top_mean_of
from andon_trainer.scoring.scale import Scale

WORST_SHARE = 0.004  # of the map's places, whose mean is a frame's worst error


class DenseDetector(nn.Module):
    """The exported graph of a dense autoencoder: the same outputs as those of `scoring.detector`.

    The score is the larger of two: of the mean squared error, as is usual, and of the mean of its worst places, because
    a small defect hardly changes the mean of a frame. The anomaly map is the second one's.
    """

    def __init__(self, network: DenseAutoencoder, mask: FrameMask | None = None) -> None:
        super().__init__()
        self.network = network
        self.mask = mask
        self.scales: list[Scale] = []

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames uint8 [N, H, W, C] to score [N], map [N, H, W], reconstruction like the frames, latent [N, D]."""
        x = self.prepare(frames)
        latent = self.network.encode(x)
        reconstruction = self.network.decode(latent)
        scaled = [
            1 + SCORE_PER_DEVIATION * scale.deviations(errors.cells)
            for errors, scale in zip(self.anomaly_maps(x, reconstruction), self.scales, strict=True)
        ]
        hidden = None if self.mask is None else self.mask.at_rest(x)
        tops = [top_mean_of(cells, hidden, share) for cells, share in zip(scaled, (1.0, WORST_SHARE), strict=True)]
        worst = scaled[1] if hidden is None else hidden.apply(scaled[1])
        pixels = (reconstruction * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return torch.stack(tops).amax(dim=0), worst.squeeze(1), pixels, latent

    def prepare(self, frames: Tensor) -> Tensor:
        """Frames uint8 [N, H, W, C] to float [N, C, H, W] in 0..1, with what is masked replaced."""
        unit = to_unit(frames)
        return unit if self.mask is None else self.mask(unit)[0]

    def anomaly_maps(self, x: Tensor, reconstruction: Tensor) -> list[AnomalyMap]:
        """How wrong each place is, unscaled, for both shares of the map that decide."""
        error = (x - reconstruction).square().mean(dim=1, keepdim=True)
        cells = F.avg_pool2d(error, 3, 1, 1, count_include_pad=False)
        hidden = None if self.mask is None else self.mask.at_rest(x)
        return [AnomalyMap(cells, share, hidden=hidden) for share in (1.0, WORST_SHARE)]

    @torch.no_grad()
    def standardise(self, good_frames: Pixels) -> None:
        """Put both errors on the scale of good frames uint8 [N, H, W, C] that the weights never saw."""
        x = self.prepare(torch.from_numpy(good_frames))
        maps = self.anomaly_maps(x, self.network.decode(self.network.encode(x)))
        self.scales = [Scale.of(errors.top()) for errors in maps]

    def to_dict(self) -> dict[str, Any]:
        """The architecture as the model card keeps it."""
        return self.network.arch.to_dict()
