"""Detectors for tests, without any training."""

from collections.abc import Sequence

from andon_monitor.model.imaging import Pixels
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.registration import Registration
from andon_trainer.scoring.detector import Detector, build_member


def detector_of(
    networks: Autoencoder | Sequence[Autoencoder],
    training_frames: Pixels,
    held_out: Pixels,
    texture: bool,
    registration: Registration | None = None,
) -> Detector:
    """A detector of one network or several, all with the same frames uint8 [N, H, W, C]."""
    several = [networks] if isinstance(networks, Autoencoder) else networks
    members = [build_member(network, training_frames, held_out, texture, 0, registration) for network in several]
    return Detector(members, registration).eval()
