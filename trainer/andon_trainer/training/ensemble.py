"""One network or several, each trained without another part of the images.

Only what a network makes of images that it has not seen shows how it will judge good parts on the line: their scores
set the threshold and reveal defects among the images of good parts. Of several networks, each has not seen others.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

import cv2
import numpy as np
from andon_monitor.model.imaging import Pixels, input_mask
from numpy.typing import NDArray

from andon_trainer.architecture import Architecture
from andon_trainer.augmentation.variation import with_channels
from andon_trainer.data.images import TrainingImages
from andon_trainer.data.splits import Split, split, splits, whole_batches
from andon_trainer.errors import FittingError
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.registration import Registration, fit_registration, register
from andon_trainer.options import FitOptions, TrainingOptions
from andon_trainer.progress import Progress
from andon_trainer.training.dense import train_dense_network
from andon_trainer.training.loop import train_network
from andon_trainer.training.schedule import TrainedNetwork
from andon_trainer.training.timing import seconds_per_step

RESERVED_SECONDS = 15.0  # for each network but the first, whose graph is exported and run on its own
# Of several networks, every image is held out from one and sets the threshold; of a single one a fifth does. Of fewer
# images than this, a fifth supports no false-alarm rate of 2 %, and the mean of several finds more than one of them. Of
# more (of the tiles), it finds as much, and takes several times as long on the line. What a single network makes of
# images that it has learned from cannot stand in: on castings its error maps of them varied 0.6 times as much as of
# others.
FEW_IMAGES = 250
STEPS_PER_NETWORK = 300
MAX_NETWORKS = 3  # each takes as long to run as the first; five were no better than three


@dataclass(frozen=True)
class TrainedNetworks:
    """Networks trained on N images, each with a split of its own, how the parts lie, and where the networks look."""

    networks: tuple[TrainedNetwork, ...]
    splits: tuple[Split, ...]
    registration: Registration | None = None
    poses: NDArray[np.float32] | None = None  # [N, 4], where images are registered
    mask: FrameMask | None = None


def split_images(
    images: TrainingImages, options: FitOptions, training: TrainingOptions, progress: Progress
) -> tuple[Split, ...]:
    """What each network learns from and what is held out from it: as many splits as networks are to be trained."""
    units = whole_batches(images.groups, [sample.batch for sample in images.samples])
    if options.is_dense:
        planned: tuple[Split, ...] = (split(units, options.seed),)
    else:
        arch = options.conv_dense(images.spec, images.pooling)
        count = options.networks or networks_to_train(arch, training, progress, len(units))
        planned = splits(units, options.seed, count)
    return tuple(replace(part, groups=images.groups) for part in planned)


def train_networks(
    images: TrainingImages,
    planned: Sequence[Split],
    options: FitOptions,
    training: TrainingOptions,
    progress: Progress,
    interrupted: Event | None,
) -> TrainedNetworks:
    """Train a network for each of the planned splits, or for the first of them where time or a person ends it.

    Raises FittingError where not even the first network could be trained.
    """
    masked, mask = input_mask(images.spec), None
    if options.is_dense:
        dense, told = options.dense(images.spec), under(progress, "training")
        if masked is not None:
            mask = FrameMask.fit(images.pixels[planned[0].train], masked)
        only = train_dense_network(images.pixels, planned[0], dense, training, told, interrupted, mask)
        return TrainedNetworks((only,), (planned[0],), mask=mask)
    end = time.monotonic() + training.budget - RESERVED_SECONDS * (len(planned) - 1)
    arch = options.conv_dense(images.spec, images.pooling)
    progress("finding how parts lie", 0.0)
    registration = fit_registration(images.pixels[planned[0].train], options.seed, masked)
    poses = None if registration is None else registration.poses(images.pixels)
    at_rest = images.pixels if poses is None else register(images.pixels, poses)
    if masked is not None:
        mask = FrameMask.fit(at_rest[planned[0].train], masked)
    frames, seen = shrink(at_rest, images.pooling), None if mask is None else mask.shrunk(images.pooling)

    networks: list[TrainedNetwork] = []
    for parts in planned:
        left = max(end - time.monotonic(), 1e-3)  # no time ends a training at its first step, a negative one would not
        budget = left / (len(planned) - len(networks))
        each = replace(training, iterations=max(1, training.iterations // len(planned)), budget=budget)
        what = f"training network {len(networks) + 1} of {len(planned)}" if len(planned) > 1 else "training"
        try:
            networks.append(train_network(frames, parts, arch, each, under(progress, what), interrupted, seen))
        except FittingError:
            if not networks:
                raise
            break  # the networks before this one are whole
        if networks[-1].ended == "interrupted":
            break
    return TrainedNetworks(tuple(networks), tuple(planned[: len(networks)]), registration, poses, mask)


def under(progress: Progress, heading: str) -> Progress:
    """Progress whose steps are those of something larger."""
    return lambda what, share: progress(f"{heading}, {what}", share)


def networks_to_train(arch: Architecture, options: TrainingOptions, progress: Progress, images: int) -> int:
    """One network with many images of good parts, else as many as the time is enough for."""
    if images >= FEW_IMAGES or options.iterations < 2 * STEPS_PER_NETWORK:
        return 1
    progress("timing a training step", 0.0)
    steps = min(options.iterations, options.budget / seconds_per_step(arch, options))
    return min(max(int(steps / STEPS_PER_NETWORK), 1), MAX_NETWORKS)


def shrink(images: Pixels, pooling: int) -> Pixels:
    """Images uint8 [N, H, W, C] as the network sees them: uint8 [N, H / pooling, W / pooling, C]."""
    if pooling == 1:
        return images
    height, width = images.shape[1] // pooling, images.shape[2] // pooling
    smaller = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack([with_channels(image) for image in smaller])
