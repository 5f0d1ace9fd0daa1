"""Folders of images: which are good, what size the model should take, and their pixels."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.image_files.decoding import SUFFIXES, decode, read_header
from andon_monitor.image_files.header import Header
from andon_monitor.model import imaging
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.architecture import STRIDE
from andon_trainer.data.arrays import array_file, open_array, read_member
from andon_trainer.progress import Progress, quiet

GOOD = "good"
# With fewer there is nothing to hold out: two to learn from, and three scores are the least a tail can be fitted to.
MIN_IMAGES = 8
# Where at least this share of the images has one size, one of another size is a mistake, not variety.
COMMON_SHARE = 0.9
# Cameras have more pixels than a model takes. A JPEG is decoded at a part of its size, as long as it keeps this many
# times the model's: then most of the shrinking is still the mean of areas.
SPARED = 2
REDUCTIONS: tuple[Literal[8, 4, 2], ...] = (8, 4, 2)


@dataclass(frozen=True)
class Sample:
    """One image file: its label ("good" or a kind of defect) and, where there is one, its mask file."""

    path: Path
    label: str
    mask: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """The images found under a folder: `train` are good, `test` may be empty."""

    root: Path
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]


def open_dataset(root: Path) -> Dataset:
    """Find the images of an MVTec AD layout (train/good, test/*, ground_truth/*) or a plain folder of good ones.

    An array file counts as a folder, see `data.arrays`; all its images are there to learn from, unless its
    labels say which are `good`. Raises UsageError: no such folder, no images, only defects.
    """
    if array_file(root) is not None:
        return _array_dataset(root)
    if not root.exists():
        raise UsageError(f"{root}: no such folder")
    if not root.is_dir():
        raise UsageError(f"{root}: a file; give a folder of images, or an array file (npy, npz, IDX)")
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    if "train" in folders or "test" in folders:
        train = _samples(root / "train" / GOOD, GOOD)
        test_root = root / "test"
        kinds = sorted(entry.name for entry in test_root.iterdir() if entry.is_dir()) if test_root.is_dir() else []
        test = [sample for kind in kinds for sample in _samples(test_root / kind, kind, root / "ground_truth" / kind)]
        if not train and not test:
            raise UsageError(f"{root}: no images in train/{GOOD} nor in test/*; known formats: {_formats()}")
        return Dataset(root, tuple(train), tuple(test))
    if direct := _samples(root, GOOD):
        return Dataset(root, tuple(direct), ())
    by_kind = [sample for name in folders for sample in _samples(root / name, name)]
    if not by_kind:
        raise UsageError(f"{root}: no images in it; known formats: {_formats()}")
    # A folder per kind: what is good may be learned from, all of it can be evaluated.
    return Dataset(root, tuple(sample for sample in by_kind if sample.label == GOOD), tuple(by_kind))


def good_samples(dataset: Dataset) -> tuple[Sample, ...]:
    """The images to learn from. Raises UsageError where there are none, or too few."""
    if not dataset.train:
        kinds = ", ".join(sorted({sample.label for sample in dataset.test} - {GOOD}))
        raise UsageError(f"{dataset.root}: no images of good parts, only {kinds}; put good ones into train/{GOOD}")
    if len(dataset.train) < MIN_IMAGES:
        raise UsageError(f"{dataset.root}: {len(dataset.train)} images of good parts, at least {MIN_IMAGES} are needed")
    return dataset.train


def choose_input(
    samples: Sequence[Sample],
    side: int,
    colour: str = "auto",
    region: tuple[int, int, int, int] | None = None,
    any_size: bool = False,
    inputs: int | None = None,
) -> InputSpec:
    """Choose the model's input for these images: their aspect ratio, an area of about `side` x `side` pixels.

    `colour`: auto, grey or rgb; `inputs`: pixels times channels where the network fixes them, which takes the images'
    own size if that has as many, else a square. Raises UsageError naming the file that is damaged or of another size or
    colour than nearly all others (`any_size` accepts other sizes), or smaller than the region.
    """
    headers = [_header(sample.path) for sample in samples]
    sizes = [(header.width, header.height) for header in headers]
    common, count = Counter(sizes).most_common(1)[0]
    same = count == len(sizes)
    if not same and not any_size and count >= COMMON_SHARE * len(sizes):
        odd = next(i for i, size in enumerate(sizes) if size != common)
        raise UsageError(
            f"{samples[odd].path}: {sizes[odd][0]} x {sizes[odd][1]} pixels, {count} of {len(sizes)} images are "
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
        brightest = max(_peak(samples[i].path) for i in deepest)
        white_level = next(level for level in (1023, 4095, 16383, 65535) if brightest <= level)
    channels = _channels(samples, headers, colour)
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


def load_images(samples: Sequence[Sample], spec: InputSpec, progress: Progress = quiet) -> Pixels:
    """Decode and resize: uint8 [N, spec.height, spec.width, spec.channels]. Raises UsageError naming a bad file."""
    images = np.empty((len(samples), spec.height, spec.width, spec.channels), np.uint8)
    for i, sample in enumerate(samples):
        images[i] = load_image(sample.path, spec)
        progress("reading images", (i + 1) / len(samples))
    return images


def load_image(path: Path, spec: InputSpec) -> Pixels:
    """One image file as the model takes it: uint8 [H, W, C]. Raises UsageError."""
    try:
        return imaging.load(read_bytes(path), spec)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None


def load_mask(path: Path, spec: InputSpec) -> NDArray[np.bool_]:
    """A mask file as bool [spec.height, spec.width], cropped and resized as its image was. Raises UsageError."""
    try:
        mask = decode(read_bytes(path), channels=1)
        as_image = replace_channels(spec, 1)
        resized = imaging.prepare(mask, as_image)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None
    return resized[:, :, 0] > 127


def replace_channels(spec: InputSpec, channels: int) -> InputSpec:
    """The same input with another number of channels."""
    return spec.model_copy(update={"channels": channels})


def fingerprint(samples: Iterable[Sample]) -> str:
    """A name for exactly these image files: sha256 over the sorted sha256 of their bytes, 64 hexadecimal digits."""
    digests = sorted(sha256(read_bytes(sample.path)).hexdigest() for sample in samples)
    return sha256("".join(digests).encode()).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or of an image in an array file. Raises UsageError."""
    if array_file(path.parent) is not None:
        return read_member(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _array_dataset(root: Path) -> Dataset:
    array = open_array(root)
    labels = array.labels or (GOOD,) * len(array.images)
    samples = tuple(Sample(path, label) for path, label in zip(array.paths(), labels, strict=True))
    if GOOD not in labels:
        return Dataset(root, samples, ())
    good = tuple(sample for sample in samples if sample.label == GOOD)
    return Dataset(root, good, () if len(good) == len(samples) else samples)


def _samples(folder: Path, label: str, masks: Path | None = None) -> list[Sample]:
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    samples = [Sample(path, label) for path in paths]
    if masks is None or not masks.is_dir():
        return samples
    by_stem = {path.stem.removesuffix("_mask"): path for path in sorted(masks.iterdir())}
    return [replace(sample, mask=by_stem.get(sample.path.stem)) for sample in samples]


def _header(path: Path) -> Header:
    """The header of an image file; its size is that once the picture is upright."""
    try:
        header = read_header(read_bytes(path))
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None
    width, height = header.upright_size
    return replace(header, width=width, height=height)


def _channels(samples: Sequence[Sample], headers: Sequence[Header], colour: str) -> Literal[1, 3]:
    if colour in ("grey", "rgb"):
        return 1 if colour == "grey" else 3
    counts = Counter(header.channels for header in headers)
    (common, count), *others = counts.most_common()
    if others:
        odd = next(i for i, header in enumerate(headers) if header.channels != common)
        names = {1: "grey", 3: "colour"}
        raise UsageError(
            f"{samples[odd].path}: {names[headers[odd].channels]}, {count} of {len(headers)} images are "
            f"{names[common]}; remove it or give --colour grey or --colour rgb"
        )
    if common == 3 and all(_is_grey(sample.path) for sample in samples[:: max(1, len(samples) // 16)]):
        return 1
    return 1 if common == 1 else 3


def _is_grey(path: Path) -> bool:
    """Whether a colour file holds a grey image; JPEG may be off by a few levels."""
    try:
        pixels = decode(read_bytes(path), channels=3).astype(np.int16)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None
    return int(np.ptp(pixels, axis=2).max()) <= 4


def _peak(path: Path) -> int:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise UsageError(f"{path}: damaged image")
    return int(image[..., :3].max() if image.ndim == 3 else image.max())


def _reduction(region: tuple[int, int, int, int], height: int, width: int) -> Literal[1, 2, 4, 8]:
    """What JPEG frames can be divided by as they are decoded, and still be twice as large as the model's input."""
    for reduction in REDUCTIONS:
        least = SPARED * reduction
        fits = region[2] >= least * width and region[3] >= least * height
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
    """Height and width of frames with so many values; `own` is the images' width and height."""
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


def _formats() -> str:
    return ", ".join(suffix[1:] for suffix in SUFFIXES)
