"""How many pixels the model sees: chosen from the images, where nobody says."""

from collections.abc import Callable, Sequence

import numpy as np
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.architecture import Architecture
from andon_trainer.data.dataset import Sample, load_images
from andon_trainer.data.near_duplicates import find_twins
from andon_trainer.network.linear import fit_linear
from andon_trainer.progress import Progress

# Frames are scaled to an area of about so many pixels squared. Parts have details that are small on a large frame, and
# the more pixels, the smaller the defects that are found, where the time is enough to learn from so many. What is
# learned of a texture is how its patches look, and twice the resolution means a quarter as many of them in the same
# time, seen through a window half as wide. Their grain, which nobody learns, is read at twice the resolution.
PART_SIDES = (384, 256)
ENOUGH_STEPS = 300  # of which a part is learned at 384 x 384, once it is put in its usual place
TEXTURE_SIDE = 128
TEXTURE_POOLING = 2


def load_at_best_size(
    samples: Sequence[Sample],
    choose_input: Callable[[int], InputSpec],
    steps_within_budget: Callable[[InputSpec], float],
    seed: int,
    progress: Progress,
) -> tuple[InputSpec, int, Pixels, NDArray[np.int64]]:
    """Load images at the resolution that suits them: textures, which look the same upside down and in a mirror, small.

    `choose_input` makes an input of a side, `steps_within_budget` says how many training steps the time is enough for.
    Returns the input, how many of its pixels are pooled along each side to one that the network sees, the images uint8
    [N, H, W, C] and their groups of twins.
    """
    spec = choose_input(TEXTURE_SIDE)
    images = load_images(samples, spec, progress)
    groups = find_twins(images)
    _, cross_fit = fit_linear(images, groups, Architecture(spec.height, spec.width, spec.channels), seed)
    if not cross_fit.texture:
        *larger, usual = (choose_input(side) for side in PART_SIDES)
        spec = next((spec for spec in larger if steps_within_budget(spec) >= ENOUGH_STEPS), usual)
        images = load_images(samples, spec, progress)
        groups = find_twins(images)
        return spec, 1, images, groups
    finer = choose_input(TEXTURE_POOLING * TEXTURE_SIDE)
    if finer.height * finer.width < TEXTURE_POOLING * spec.height * spec.width:
        return spec, 1, images, groups  # the images have no more pixels
    size = {"height": TEXTURE_POOLING * spec.height, "width": TEXTURE_POOLING * spec.width}
    spec = finer.model_copy(update=size)
    return spec, TEXTURE_POOLING, load_images(samples, spec, progress), groups
