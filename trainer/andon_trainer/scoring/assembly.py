"""From trained networks to the detector that is exported: memories of good parts, scales, and the mean of all."""

from collections.abc import Sequence
from typing import cast

from torch import nn

from andon_trainer.data.images import TrainingImages
from andon_trainer.data.splits import Split
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.dense import DenseAutoencoder
from andon_trainer.network.encoder import Encoder
from andon_trainer.progress import Progress
from andon_trainer.scoring.dense_detector import DenseDetector
from andon_trainer.scoring.detector import Detector, Member, remember
from andon_trainer.training.ensemble import TrainedNetworks


def remember_good_parts(
    trained: TrainedNetworks, images: TrainingImages, seed: int, progress: Progress, encoder: Encoder | None = None
) -> tuple[Detector | DenseDetector, ...]:
    """A detector of each network alone, with patch memories of the images that the network was trained on."""
    detectors: list[Detector | DenseDetector] = []
    for training, parts in zip(trained.networks, trained.splits, strict=True):
        progress("remembering good parts", len(detectors) / len(trained.networks))
        if isinstance(training.network, DenseAutoencoder):
            detectors.append(DenseDetector(training.network, trained.mask))
            continue
        assert isinstance(training.network, Autoencoder)
        known = images.pixels[parts.train]
        how = trained.registration, encoder, trained.mask
        member = remember(training.network, known, training.texture, seed, *how)
        detectors.append(Detector([member], *how))
    return tuple(detectors)


def scale_to_good_parts(
    detectors: Sequence[Detector | DenseDetector], parts_of_each: Sequence[Split], images: TrainingImages
) -> None:
    """Put each detector's scores on the scale of good parts that its network was not trained on."""
    for detector, parts in zip(detectors, parts_of_each, strict=True):
        detector.eval().standardise(images.pixels[parts.validation])


def combine(detectors: Sequence[Detector | DenseDetector]) -> nn.Module:
    """One detector whose anomaly map is the mean of all."""
    first, *others = detectors
    if not others:
        return first
    members = [cast(Member, member) for detector in detectors for member in cast(Detector, detector).members]
    shared = cast(Detector, first)
    return Detector(members, shared.registration, shared.encoder, shared.mask).eval()
