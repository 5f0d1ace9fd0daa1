"""What a model takes for frames: their size, colour, region of interest and white level, chosen from the images."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.image_files.header import Header
from andon_monitor.model.card import InputSpec

from andon_trainer.architecture import STRIDE
from andon_trainer.data.dataset import Sample
from andon_trainer.data.images import ImageCache

# Where at least this share of the images has one size, an image of another size is a mistake.
COMMON_SIZE_SHARE = 0.9
# Cameras have more pixels than a model takes. A JPEG is decoded at a part of its size, as long as it keeps this many
# times the model's pixels along each side: then the mean of areas still does most of the shrinking.
MIN_SHRINKING = 2
REDUCTIONS: tuple[Literal[8, 4, 2], ...] = (8, 4, 2)
WHITE_LEVELS = (1023, 4095, 16383, 65535)  # of cameras with 10, 12, 14 and 16 bits
GREY_CHECKED = 16  # colour files, at least, of which all must be grey for grey frames


def choose_input(
    samples: Sequence[Sample],
    side: int,
    colour: str = "auto",
    region: tuple[int, int, int, int] | None = None,
    any_size: bool = False,
    inputs: int | None = None,
    files: ImageCache | None = None,
) -> InputSpec:
    """Choose the model's input for these images: their aspect ratio, an area of about `side` x `side` pixels.

    `colour`: auto, grey or rgb. `inputs`: pixels times channels, where the network fixes them: the images' own size if
    that has as many, else a square. `files`: what is known of the files already.

    Raises UsageError, which names the file that is damaged, that has another size or colour than nearly all others
    (`any_size` accepts other sizes), or that is smaller than the region.
    """
    files = files or ImageCache()
    headers = [files.header(sample.path) for sample in samples]
    sizes = [(header.width, header.height) for header in headers]
    common, count = Counter(sizes).most_common(1)[0]
    same = count == len(sizes)
    if not same and not any_size and count >= COMMON_SIZE_SHARE * len(sizes):
        other = next(i for i, size in enumerate(sizes) if size != common)
        raise UsageError(
            f"{samples[other].path}: {sizes[other][0]} x {sizes[other][1]} pixels, {count} of {len(sizes)} images are "
            f"{common[0]} x {common[1]}; remove it or give --any-size"
        )
    if region is not None:
        left, top, width, height = region
        for sample, (image_width, image_height) in zip(samples, sizes, strict=True):
            if left + width > image_width or top + height > image_height:
                raise UsageError(
                    f"{sample.path}: {image_width} x {image_height} pixels, smaller than the region of interest "
                    f"{left},{top},{width},{height}"
                )
        sizes = [(width, height)]
    deepest = [i for i, header in enumerate(headers) if header.depth == 16]
    white_level = 255
    if deepest:
        brightest = max(files.peak(samples[i].path) for i in deepest)
        white_level = next(level for level in WHITE_LEVELS if brightest <= level)
    channels = _channels(samples, headers, colour, files)
    height, width = _input_size(sizes, side) if inputs is None else _size_of(inputs, channels, common)
    return InputSpec(
        height=height,
        width=width,
        channels=channels,
        frame_size=common if same else None,
        region=region,
        reduction=_reduction(region or (0, 0, *common), height, width) if same else 1,
        white_level=white_level,
    )


def _channels(samples: Sequence[Sample], headers: Sequence[Header], colour: str, files: ImageCache) -> Literal[1, 3]:
    if colour in ("grey", "rgb"):
        return 1 if colour == "grey" else 3
    counts = Counter(header.channels for header in headers)
    (common, count), *others = counts.most_common()
    if others:
        other = next(i for i, header in enumerate(headers) if header.channels != common)
        names = {1: "grey", 3: "colour"}
        raise UsageError(
            f"{samples[other].path}: {names[headers[other].channels]}, {count} of {len(headers)} images are "
            f"{names[common]}; remove it or give --colour grey or --colour rgb"
        )
    some = samples[:: max(1, len(samples) // GREY_CHECKED)]
    if common == 3 and all(files.is_grey(sample.path) for sample in some):
        return 1
    return 1 if common == 1 else 3


def _reduction(region: tuple[int, int, int, int], height: int, width: int) -> Literal[1, 2, 4, 8]:
    """By what JPEG frames can be divided as they are decoded and still be twice as large as the model's input."""
    for reduction in REDUCTIONS:
        times = MIN_SHRINKING * reduction
        fits = region[2] >= times * width and region[3] >= times * height
        if fits and all(length % reduction == 0 for length in region):
            return reduction
    return 1


def _input_size(sizes: Sequence[tuple[int, int]], side: int) -> tuple[int, int]:
    """Height and width in multiples of the network's stride; square where the images' shapes vary."""
    ratios = np.log([width / height for width, height in sizes])
    ratio = float(np.exp(np.clip(np.median(ratios), -np.log(4), np.log(4)))) if np.ptp(ratios) < 0.1 else 1.0
    # Enlarging adds cost, not detail: no side is longer than the images', in the next multiple of the stride.
    width, height = (
        max(2 * STRIDE, min(STRIDE * round(wanted / STRIDE), STRIDE * -(-largest // STRIDE)))
        for wanted, largest in (
            (side * ratio**0.5, max(size[0] for size in sizes)),
            (side / ratio**0.5, max(size[1] for size in sizes)),
        )
    )
    return height, width


def _size_of(inputs: int, channels: int, own: tuple[int, int]) -> tuple[int, int]:
    """Height and width of frames with `inputs` values; `own` is the images' width and height."""
    width, height = own
    if width * height * channels == inputs:
        return height, width
    square = math.isqrt(inputs // channels)
    if square < 4 or square * square * channels != inputs:
        raise UsageError(
            f"--layers {inputs}-...: images of {width} x {height} x {channels} have {width * height * channels} "
            f"values; give that, or {channels} times a square"
        )
    return square, square
