"""What a model takes for frames: size, colour, region of interest, black and white level, chosen from the images."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.image_files.header import Header
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import input_mask
from andon_monitor.model.mask import MAX_FRAME_PIXELS, Mask, touched_cells

from andon_trainer.architecture import FEATURE_STRIDE, STRIDE
from andon_trainer.data.images import ImageCache
from andon_trainer.data.levels import choose_levels
from andon_trainer.data.sample import Sample

# Where at least this share of the images has one size, or is grey, an image of another size or colour is a mistake.
COMMON_SHARE = 0.9
# Cameras have more pixels than a model takes. A JPEG is decoded at a part of its size, as long as it keeps this many
# times the model's pixels along each side: then the mean of areas still does most of the shrinking.
MIN_SHRINKING = 2
REDUCTIONS: tuple[Literal[8, 4, 2], ...] = (8, 4, 2)
MIN_INSPECTED_CELLS = 4  # that a mask has to leave: the score is the mean of so many at least
COLOURS_CHECKED = 16  # colour files; where all of these are colour pictures, the others are not looked at


def choose_input(
    samples: Sequence[Sample],
    side: int,
    colour: str = "auto",
    region: tuple[int, int, int, int] | None = None,
    any_size: bool = False,
    inputs: int | None = None,
    files: ImageCache | None = None,
    mask: Mask | None = None,
) -> InputSpec:
    """Choose the model's input for these images: their aspect ratio, an area of about `side` x `side` pixels.

    `colour`: auto, grey or rgb. `inputs`: pixels times channels, where the network fixes them: the images' own size if
    that has as many, else a square. `files`: what is known of the files already. `mask`: where in them the model looks.

    Raises UsageError, which names the file that is damaged or too large, that has another size, depth or colour than
    others (`any_size` accepts other sizes), that is smaller than the region, or has another aspect ratio than the mask;
    and for a mask that leaves nothing.
    """
    files = files or ImageCache()
    headers = [files.header(sample.path) for sample in samples]
    sizes = [(header.width, header.height) for header in headers]
    common, count = Counter(sizes).most_common(1)[0]
    same = count == len(sizes)
    if not same and not any_size and count >= COMMON_SHARE * len(sizes):
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
    if mask is not None:
        _check_mask(mask, samples, headers, region is not None and not same)
    levels = _levels(samples, headers, region, files)
    channels = _channels(samples, headers, colour, levels, files)
    height, width = _input_size(sizes, side) if inputs is None else _size_of(inputs, channels, common)
    spec = InputSpec(
        height=height,
        width=width,
        channels=channels,
        frame_size=common if same else None,
        region=region,
        mask=mask,
        reduction=_reduction(region or (0, 0, *common), height, width) if same else 1,
        black_level=levels[0] if levels else 0,
        white_level=levels[1] if levels else 255,
    )
    _check_inspected(spec, FEATURE_STRIDE if inputs is None else 1)
    return spec


def _check_mask(mask: Mask, samples: Sequence[Sample], headers: Sequence[Header], differ_in_region: bool) -> None:
    """Raises UsageError where a mask is not one of these images."""
    drawn = f"{mask.size[0]} x {mask.size[1]}"
    for sample, header in zip(samples, headers, strict=True):
        size = f"{sample.path}: {header.width} x {header.height} pixels"
        if not mask.fits(header.width, header.height):
            raise UsageError(f"{size}, another aspect ratio than the mask's {drawn}; draw it on one of these images")
        if header.width * header.height > MAX_FRAME_PIXELS:
            raise UsageError(f"{size}, with a mask at most {MAX_FRAME_PIXELS} are allowed")
    if differ_in_region:
        raise UsageError("--mask: not with --region where images have different sizes; draw the region in the mask")


def _check_inspected(spec: InputSpec, stride: int) -> None:
    """Raises UsageError where a mask leaves too little of an input; `stride`: pixels along each side of a cell."""
    masked = input_mask(spec)
    if masked is None:
        return
    if np.count_nonzero(~touched_cells(masked, stride)) < MIN_INSPECTED_CELLS:
        left = 1 - float(masked.mean())
        inside = " inside the region of interest" if spec.region is not None else ""
        raise UsageError(
            f"--mask: leaves {left:.1%} of the image{inside}, too little at {spec.width} x {spec.height} pixels; "
            "leave more, or give a larger --side or a --region around what is left"
        )


def _levels(
    samples: Sequence[Sample],
    headers: Sequence[Header],
    region: tuple[int, int, int, int] | None,
    files: ImageCache,
) -> tuple[int, int] | None:
    """The black and the white level of 16-bit images; None for images of 8 bits."""
    counts = Counter(header.depth for header in headers)
    (common, count), *others = counts.most_common()
    if others:
        # Which of the 65,536 values are the same light as one of 256 only the person knows who saved them.
        other = next(i for i, header in enumerate(headers) if header.depth != common)
        raise UsageError(
            f"{samples[other].path}: {headers[other].depth} bits a channel, {count} of {len(headers)} images have "
            f"{common}; save all with the same depth"
        )
    if common == 8:
        return None
    return choose_levels(
        [files.value_range(sample.path, region) for sample in samples], max(header.levels for header in headers)
    )


def _channels(
    samples: Sequence[Sample],
    headers: Sequence[Header],
    colour: str,
    levels: tuple[int, int] | None,
    files: ImageCache,
) -> Literal[1, 3]:
    """3 for colour pictures, 1 for grey ones, whichever way these were saved. Raises UsageError for a mixture."""
    if colour in ("grey", "rgb"):
        return 1 if colour == "grey" else 3
    stored = [i for i, header in enumerate(headers) if header.channels == 3]
    all_stored = len(stored) == len(samples)
    some = stored[:: max(1, len(stored) // COLOURS_CHECKED)]
    if all_stored and not any(files.is_grey(samples[i].path, levels) for i in some):
        return 3
    coloured = {i for i in stored if not files.is_grey(samples[i].path, levels)}
    grey = len(samples) - len(coloured)
    if not coloured:
        return 1
    # A colour camera may take pictures without any colour. A few pictures with colours among many without are odd.
    if all_stored and grey < COMMON_SHARE * len(samples):
        return 3
    is_grey = grey >= len(coloured)
    other = next(i for i in range(len(samples)) if (i in coloured) == is_grey)
    count, names = (grey, ("colour", "grey")) if is_grey else (len(coloured), ("grey", "colour"))
    raise UsageError(
        f"{samples[other].path}: {names[0]}, {count} of {len(samples)} images are {names[1]}; remove it or give "
        "--colour grey or --colour rgb"
    )


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
