"""From images of good parts to a detector: one network, or several that were each trained without other images.

What a network makes of images that it has not seen is the only honest word on them: it says where the threshold lies,
and whether a defect slipped in among the good.
"""

import time
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import cv2
import numpy as np
import onnx
from andon_monitor.model.calibration import MIN_CALIBRATION_IMAGES
from andon_monitor.model.card import InputSpec
from andon_monitor.model.file import SCORE
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.session import Session
from numpy.typing import NDArray
from torch import nn

from andon_trainer.architecture import WIDTHS, Architecture, DenseArchitecture
from andon_trainer.augmentation.variation import with_channels
from andon_trainer.data.splits import Split, common_to, split, splits
from andon_trainer.errors import FittingError
from andon_trainer.export import graph as export
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.registration import fit_registration, laid
from andon_trainer.options import FitOptions, TrainingOptions
from andon_trainer.progress import Progress
from andon_trainer.scoring.detector import Detector, Member, build_member
from andon_trainer.training.dense import build_dense_detector, fit_dense
from andon_trainer.training.loop import fit
from andon_trainer.training.schedule import Fitted, in_a_row
from andon_trainer.training.timing import seconds_per_step

RESERVED_FOR_ANOTHER = 15.0  # seconds for each network but the first, whose graph is exported alone
# Of the tiles a network of 700 was as good as one of 9,000; that it is so of other images, too, nobody has measured.
STEPS_EACH = 1000
NETWORKS_MOST = 3  # each takes as long to ask as the first; five were no better than three


@dataclass(frozen=True)
class Trained:
    """What was learned from N images, each of the networks with a split of its own."""

    detector: nn.Module
    splits: tuple[Split, ...]
    alone: tuple[nn.Module, ...]  # for each split a detector that saw nothing of what is held out there
    fitted: Fitted
    architecture: dict[str, Any]  # as the card keeps it
    poses: NDArray[np.float32] | None = None  # [N, 4], where the detector registers frames


def train(
    images: Pixels,
    twins: NDArray[np.int64],
    spec: InputSpec,
    pooling: int,
    options: FitOptions,
    training: TrainingOptions,
    progress: Progress,
    interrupted: Event | None,
) -> Trained:
    """Train the architecture that was asked for on images uint8 [N, H, W, C]; `twins` are their groups, int [N]."""
    if options.is_dense:
        return train_dense(images, twins, spec, options, training, progress, interrupted)
    start, seed = time.monotonic(), options.seed
    arch = conv_dense(spec, options, pooling)
    planned = splits(twins, seed, options.networks or networks_within_budget(arch, training, progress))
    end = start + training.budget - RESERVED_FOR_ANOTHER * (len(planned) - 1)
    progress("finding how parts lie", 0.0)
    registration = fit_registration(images[planned[0].train], seed)
    poses = None if registration is None else registration.poses(images)
    seen = pooled(images if poses is None else laid(images, poses), pooling)

    trainings: list[Fitted] = []
    members: list[Member] = []
    for parts in planned:
        left = max(end - time.monotonic(), 1e-3)  # a time that is over ends a training, less than none would not
        budget = left / (len(planned) - len(members))
        each = replace(training, iterations=max(1, training.iterations // len(planned)), budget=budget)
        what = f"training network {len(members) + 1} of {len(planned)}" if len(planned) > 1 else "training"
        try:
            fitted = fit(seen, parts, arch, each, under(progress, what), interrupted)
        except FittingError:
            if not members:
                raise
            break  # whatever stopped this one, those before it are whole
        progress("remembering", 0.0)
        assert isinstance(fitted.network, Autoencoder)
        known, unseen = images[parts.train], images[parts.validation]
        members.append(build_member(fitted.network, known, unseen, fitted.texture, seed, registration))
        trainings.append(fitted)
        if fitted.ended == "interrupted":
            break
    first = members[0]
    memories = {"memory_patches": first.memory, "grain_patches": first.grain_memory}
    remembered = {name: 0 if memory is None else memory.size for name, memory in memories.items()}
    detector = Detector(members, registration).eval()
    several = len(members) > 1
    return Trained(
        detector,
        planned[: len(members)],
        tuple(Detector([member], registration).eval() for member in members) if several else (detector,),
        in_a_row(trainings),
        first.network.arch.to_dict() | remembered | {"registered": registration is not None},
        poses,
    )


def train_dense(
    images: Pixels,
    twins: NDArray[np.int64],
    spec: InputSpec,
    options: FitOptions,
    training: TrainingOptions,
    progress: Progress,
    interrupted: Event | None,
) -> Trained:
    """Train the dense architecture, as `train` does."""
    shape = (spec.height, spec.width, spec.channels)
    arch = DenseArchitecture(*shape, options.layers, options.dense_kind, options.reconstruction_loss)
    parts = split(twins, options.seed)
    network, fitted = fit_dense(images, parts, arch, training, under(progress, "training"), interrupted)
    detector = build_dense_detector(network, images[parts.validation])
    return Trained(detector, (parts,), (detector,), fitted, arch.to_dict())


def under(progress: Progress, heading: str) -> Progress:
    """Progress whose steps are those of something larger."""
    return lambda what, share: progress(f"{heading}, {what}", share)


def networks_within_budget(arch: Architecture, options: TrainingOptions, progress: Progress) -> int:
    """How many networks the time is enough for."""
    if options.iterations < 2 * STEPS_EACH:
        return 1
    progress("timing a training step", 0.0)
    steps = min(options.iterations, options.budget / seconds_per_step(arch, options))
    return min(max(int(steps / STEPS_EACH), 1), NETWORKS_MOST)


def scores_of_unseen(trained: Trained, graph: onnx.ModelProto, images: Pixels) -> NDArray[np.float32]:
    """What good images uint8 [N, H, W, C] score where they were not learned from, float32 [N]; NaN where they were.

    Of several networks each tells what it says alone of the images that only it had not seen (Vovk, "Cross-conformal
    predictors", 2015). Their mean goes astray less: on the images that none of them saw, its scores and those of each
    alone are both known, and the scores of the others are put where the mean's would be: with its average and
    standard deviation. Too few such images tell nothing, and the scores of each alone are slightly too high.
    """
    scores = np.full(len(images), np.nan, np.float32)
    unseen = common_to(trained.splits)
    if len(trained.splits) == 1:
        scores[unseen] = score_with(graph, images[unseen])
        return scores
    alone: list[NDArray[np.float32]] = []
    for parts, detector in zip(trained.splits, trained.alone, strict=True):
        its_graph = export.to_onnx(detector, images.shape[1:])
        scores[parts.calibration] = score_with(its_graph, images[parts.calibration])
        alone.append(scores[unseen])
    if len(unseen) >= MIN_CALIBRATION_IMAGES:
        each, together = np.concatenate(alone), score_with(graph, images[unseen])
        scores = together.mean() + (scores - each.mean()) * together.std() / max(float(each.std()), 1e-9)
        scores[unseen] = together
    return scores


def score_with(graph: onnx.ModelProto, images: Pixels) -> NDArray[np.float32]:
    """Scores float32 [N] of images uint8 [N, H, W, C]."""
    session = Session(export.serialise(graph), "a network", "cpu", threads=0)
    scores: NDArray[np.float32] = session.run([SCORE], images)[0]
    return scores


def conv_dense(spec: InputSpec, options: FitOptions, pooling: int = 1) -> Architecture:
    """The convolutional autoencoder of an input."""
    height, width = spec.height // pooling, spec.width // pooling
    return Architecture(
        height, width, spec.channels, WIDTHS[options.size], loss=options.reconstruction_loss, pooling=pooling
    )


def pooled(images: Pixels, pooling: int) -> Pixels:
    """Images uint8 [N, H, W, C] as the network sees them, each `pooling` times as low and narrow."""
    if pooling == 1:
        return images
    height, width = images.shape[1] // pooling, images.shape[2] // pooling
    smaller = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images]
    return np.stack([with_channels(image) for image in smaller])
