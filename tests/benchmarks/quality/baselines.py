"""The methods that Andon is compared with, as plain as textbooks have them: frames in 0..1, and a residual."""

import torch
import torch.nn.functional as F
from andon_monitor.model.imaging import Pixels
from andon_trainer.network.linear import principal_components
from andon_trainer.network.tensors import to_unit
from andon_trainer.options import TrainingOptions
from andon_trainer.scoring.dense_detector import DenseDetector
from andon_trainer.scoring.detector import AnomalyMap
from andon_trainer.training.schedule import Schedule
from torch import Tensor, nn

COMPONENTS = 64
WIDTHS = (32, 64, 128, 128)  # channels at 1/2, 1/4, 1/8 and 1/16 of the frame
LATENT = 128
LEARNING_RATE = 1e-3
BATCH = 16
WINDOW = 11  # of SSIM, as Bergmann et al. have it


class PrincipalComponents(nn.Module):
    """The best linear autoencoder."""

    mean: Tensor
    components: Tensor

    def __init__(self, frames: Tensor) -> None:
        super().__init__()
        self.shape = frames.shape[1:]
        count = min(COMPONENTS, len(frames) // 2)
        mean, components, _ = principal_components(frames.flatten(1), count)
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)

    def encode(self, x: Tensor) -> Tensor:
        """Frames float [N, C, H, W] to [N, K]."""
        return F.linear(x.flatten(1) - self.mean, self.components)

    def decode(self, latent: Tensor) -> Tensor:
        """The reverse of `encode`, as well as may be."""
        return (F.linear(latent, self.components.T) + self.mean).reshape(-1, *self.shape)


class ConvolutionalAutoencoder(nn.Module):
    """Four convolutions that halve the frame, a dense latent vector, and the same back."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.inner = (WIDTHS[-1], height // 16, width // 16)
        size = self.inner[0] * self.inner[1] * self.inner[2]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for a, b in zip((channels, *WIDTHS), WIDTHS, strict=False):
            down += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            up = [nn.LeakyReLU(0.2), nn.ConvTranspose2d(b, a, 4, stride=2, padding=1), *up]
        self.down = nn.Sequential(*down, nn.Flatten(), nn.Linear(size, LATENT))
        self.widen = nn.Linear(LATENT, size)
        self.up = nn.Sequential(*up, nn.Sigmoid())

    def encode(self, x: Tensor) -> Tensor:
        """Frames float [N, C, H, W] to latent vectors [N, D]."""
        latent: Tensor = self.down(x)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Latent vectors to frames."""
        frames: Tensor = self.up(self.widen(latent).reshape(-1, *self.inner))
        return frames


class SimilarityDetector(DenseDetector):
    """Scores by structural dissimilarity instead of squared error (Bergmann et al., VISAPP 2019)."""

    def anomaly_maps(self, x: Tensor, reconstruction: Tensor) -> list[AnomalyMap]:
        """As those of the squared error."""
        cells = dissimilarity(x, reconstruction)
        return [AnomalyMap(cells, 1.0), AnomalyMap(cells)]


def dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """1 - SSIM (Wang et al., 2004) of frames in 0..1 at each place: [N, C, H, W] to [N, 1, H, W]."""
    means = F.avg_pool2d(torch.cat([a, b, a * a, b * b, a * b], dim=1), WINDOW, 1, WINDOW // 2, count_include_pad=False)
    mean_a, mean_b, aa, bb, ab = means.chunk(5, dim=1)
    luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    structure = (2 * (ab - mean_a * mean_b) + 0.03**2) / (aa - mean_a**2 + bb - mean_b**2 + 0.03**2)
    return 1 - (luminance * structure).mean(dim=1, keepdim=True)


def fit_convolutional(
    images: Pixels, options: TrainingOptions, similarity: bool
) -> tuple[ConvolutionalAutoencoder, int, float]:
    """Train on images uint8 [N, H, W, C] with Adam. Returns network, iterations and seconds."""
    torch.manual_seed(options.seed)
    count, height, width, channels = images.shape
    network = ConvolutionalAutoencoder(channels, height, width)
    optimiser = torch.optim.Adam(network.parameters())
    schedule = Schedule(options)
    for step in schedule:
        for group in optimiser.param_groups:
            group["lr"] = step.learning_rate
        x = to_unit(torch.from_numpy(images[torch.randint(count, (BATCH,)).numpy()]))
        rebuilt = network.decode(network.encode(x))
        loss = dissimilarity(x, rebuilt).mean() if similarity else F.mse_loss(rebuilt, x)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return network, schedule.iterations, schedule.seconds
