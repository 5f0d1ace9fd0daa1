"""The images of good parts, at the resolution that suits them."""

from collections.abc import Callable, Sequence

import numpy as np
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import Pixels, input_mask
from numpy.typing import NDArray

from andon_trainer.architecture import Architecture
from andon_trainer.data.images import ImageCache, TrainingImages
from andon_trainer.data.input import choose_input
from andon_trainer.data.near_duplicates import group_samples
from andon_trainer.data.pictures import check_pictures
from andon_trainer.data.sample import Sample
from andon_trainer.network.linear import fit_linear
from andon_trainer.network.mask import FrameMask
from andon_trainer.options import FitOptions, TrainingOptions
from andon_trainer.progress import Progress
from andon_trainer.training.timing import seconds_per_step

# Frames are scaled to an area of about this many pixels squared. Parts have small details on a large frame: the more
# pixels, the smaller the defects that are found, where there is time to learn from so many pixels. Of a texture its
# patches are learned. Twice the resolution means a quarter as many patches in the same time, each seen through a window
# half as wide. Texture features need no learning, so they are computed at twice the resolution.
PART_SIDES = (384, 256)
MIN_STEPS_AT_LARGEST = 300  # training steps of a network in which registered parts are learned at 384 x 384
TEXTURE_SIDE = 128
TEXTURE_POOLING = 2


def load_training_images(
    samples: Sequence[Sample], files: ImageCache, options: FitOptions, training: TrainingOptions, progress: Progress
) -> TrainingImages:
    """Choose the model's input and load the images for it. Raises UsageError, which names the image at fault."""
    inputs = options.layers[0] if options.is_dense else None

    def input_of(side: int) -> InputSpec:
        return choose_input(
            samples, side, options.colour, options.region, options.any_size, inputs, files, options.mask
        )

    def steps_within_budget(spec: InputSpec) -> float:
        """Of each of the networks that were asked for."""
        progress("timing a training step", 0.0)
        seconds = seconds_per_step(options.conv_dense(spec), training)
        return min(training.iterations, training.budget / seconds) / (options.networks or 1)

    if options.is_dense or options.side is not None:
        spec, pooling = input_of(options.side or PART_SIDES[-1]), 1
        pixels = files.frames(samples, spec, progress)
        check_pictures(samples, pixels, files)
        groups = group_samples(samples, pixels, input_mask(spec))
    else:
        spec, pooling, pixels, groups = load_at_best_size(
            samples, files, input_of, steps_within_budget, options.seed, progress
        )
    fingerprint = files.fingerprint(samples)
    files.release()
    return TrainingImages(tuple(samples), spec, pooling, pixels, groups, fingerprint)


def load_at_best_size(
    samples: Sequence[Sample],
    files: ImageCache,
    input_of: Callable[[int], InputSpec],
    steps_within_budget: Callable[[InputSpec], float],
    seed: int,
    progress: Progress,
) -> tuple[InputSpec, int, Pixels, NDArray[np.int64]]:
    """Load images at the resolution that suits them; textures, which look the same upside down and mirrored, small.

    `input_of` makes an input of a side, `steps_within_budget` says how many training steps there is time for.
    Returns the input, how many of its pixels along each side are one pixel of the network, the images uint8
    [N, H, W, C], and their groups of near-duplicates, int [N].
    """
    spec = input_of(TEXTURE_SIDE)
    images = files.frames(samples, spec, progress)
    check_pictures(samples, images, files)
    masked = input_mask(spec)
    groups = group_samples(samples, images, masked)
    mask = None if masked is None else FrameMask.fit(images, masked)
    _, cross_fit = fit_linear(images, groups, Architecture(spec.height, spec.width, spec.channels), seed, mask)
    if not cross_fit.texture:
        *larger, smallest = (input_of(side) for side in PART_SIDES)
        spec = next((spec for spec in larger if steps_within_budget(spec) >= MIN_STEPS_AT_LARGEST), smallest)
        images = files.frames(samples, spec, progress)
        return spec, 1, images, group_samples(samples, images, input_mask(spec))
    finer = input_of(TEXTURE_POOLING * TEXTURE_SIDE)
    if finer.height * finer.width < TEXTURE_POOLING * spec.height * spec.width:
        return spec, 1, images, groups  # the images have no more pixels
    size = {"height": TEXTURE_POOLING * spec.height, "width": TEXTURE_POOLING * spec.width}
    spec = finer.model_copy(update=size)
    return spec, TEXTURE_POOLING, files.frames(samples, spec, progress), groups
