"""Folders of images: which are good, what size the model should take, which are near-twins, how to split them."""

import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from hashlib import sha256
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monitor import imaging
from monitor.calibration import FEW
from monitor.card import InputSpec
from monitor.errors import ImageError, UsageError
from monitor.imaging import Pixels
from trainer.architecture import STRIDE
from trainer.arrays import array_file, open_array, read_member
from trainer.progress import Progress, quiet

GOOD = "good"
# With fewer there is nothing to hold out: two to learn from, and three scores are the least a tail can be fitted to.
MIN_IMAGES = 8
VALIDATION_MIN_IMAGES = 1000  # from so many on, some are held out for validation alone
CALIBRATION_LEAST, CALIBRATION_MOST = 4, 1200  # images held out for calibration from one network
HELD_OUT_FROM_ALL = 0.05  # of the images, `FEW` at least, where there are several networks
HELD_OUT_FROM_ALL_MIN_IMAGES = 10 * FEW
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


@dataclass(frozen=True)
class Split:
    """Indices into the training images. `validation` may be the same as `calibration`.

    `groups` is the group of near-twins of every image, int [N]; each group is on one side.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]
    groups: NDArray[np.int64]


def open_dataset(root: Path) -> Dataset:
    """Find the images of an MVTec AD layout (train/good, test/*, ground_truth/*) or a plain folder of good ones.

    An array file counts as a folder, see `trainer.arrays`; all its images are there to learn from, unless its labels
    say which are `good`. Raises UsageError: no such folder, no images, only defects.
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
        white_level = next(level for level in (255, 1023, 4095, 16383, 65535) if brightest <= level)
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
        mask = imaging.decode(read_bytes(path), channels=1)
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


def find_twins(images: Pixels, correlation: float = 0.97) -> NDArray[np.int64]:
    """Group near-twins, photographs of one part: a group number for each image, int [N], numbered from 0.

    `images`: uint8 [N, H, W, C]. Twins are images whose thumbnails (24 x 24 grey, mean of all images subtracted,
    normalised) correlate; groups are connected components. Parts under a fixed camera all look alike, so where one
    group would swallow a fifth of the images, a higher correlation is asked for.
    """
    grey = images.mean(axis=3)
    thumbnails = np.stack([cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA) for image in grey])
    flat = thumbnails.reshape(len(images), -1).astype(np.float64)
    flat = _standardise(flat)
    flat = _standardise(flat - flat.mean(axis=0))
    similarity = flat @ flat.T / flat.shape[1]
    for threshold in (correlation, 0.98, 0.99, 0.995, 0.999, 0.9995):
        groups = _components(similarity > threshold)
        if np.bincount(groups).max() <= max(6, len(images) / 5):
            return groups
    return np.arange(len(images))


def split(groups: NDArray[np.int64], seed: int) -> Split:
    """Hold out a fifth of the images for calibration (at most 1,200) and, of many, a tenth for validation.

    `groups`: int [N] as `find_twins` gives them; a group is never divided. Of fewer than VALIDATION_MIN_IMAGES the
    held-out ones serve for both: what the network has never seen limits it more than the choice among a few looks, all
    late in the training, moves the threshold.
    """
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    return _split(groups, order, max(round(0.2 * len(groups)), CALIBRATION_LEAST))


def splits(groups: NDArray[np.int64], seed: int, count: int) -> tuple[Split, ...]:
    """Split `count` times, each time holding out another third of the images, or less where `count` is more than three.

    So there is a network to say of each image what it makes of it unseen. Of many images a few are held out each time:
    what all networks together say of them tells how much less they go astray than one alone. One split is as `split`
    does it; there are fewer than `count` where images are too few or groups too large.
    """
    total = len(groups)
    shares = min(max(count, 3), total // CALIBRATION_LEAST)
    if count == 1 or shares < 2:
        return (split(groups, seed),)
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)[order]
    common = 0
    if total >= HELD_OUT_FROM_ALL_MIN_IMAGES:
        common = int(np.searchsorted(sizes.cumsum(), max(HELD_OUT_FROM_ALL * total, FEW))) + 1
    always, others, sizes = order[:common], order[common:], sizes[common:]
    middles = sizes.cumsum() - sizes / 2
    share = middles * shares // max(sizes.sum(), 1)
    found = []
    for i in range(min(count, shares)):
        own, rest = others[share == i], others[share != i]
        held_out = np.concatenate([always, own])
        wanted = int(np.isin(groups, held_out).sum())
        if len(own) and wanted >= CALIBRATION_LEAST and total - wanted >= total / 3:
            found.append(_split(groups, np.concatenate([held_out, rest]), wanted))
    return tuple(found) or (split(groups, seed),)


def common_to(parts: Sequence[Split]) -> NDArray[np.int64]:
    """The images, int [n], that are held out for calibration in all of these splits."""
    return reduce(np.intersect1d, [part.calibration for part in parts])


def together(parts: Sequence[Split]) -> Split:
    """What is learned from, stopped by and calibrated on in any of these splits of the same images."""
    train, validation, calibration = (
        np.unique(np.concatenate(indices))
        for indices in zip(*((part.train, part.validation, part.calibration) for part in parts), strict=True)
    )
    return Split(train, validation, calibration, parts[0].groups)


def _split(groups: NDArray[np.int64], order: NDArray[np.int64], held_out: int) -> Split:
    total = len(groups)
    wanted_calibration = min(held_out, CALIBRATION_MOST)
    wanted_validation = min(round(0.1 * total), 200) if total >= VALIDATION_MIN_IMAGES else 0
    calibration: list[int] = []
    validation: list[int] = []
    train: list[int] = []
    for group in order:
        members = np.flatnonzero(groups == group).tolist()
        if len(calibration) < wanted_calibration:
            calibration += members
        elif len(validation) < wanted_validation:
            validation += members
        else:
            train += members
    as_array = [np.array(sorted(part), dtype=np.int64) for part in (train, validation or calibration, calibration)]
    return Split(as_array[0], as_array[1], as_array[2], groups)


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
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in imaging.SUFFIXES)
    samples = [Sample(path, label) for path in paths]
    if masks is None or not masks.is_dir():
        return samples
    by_stem = {path.stem.removesuffix("_mask"): path for path in sorted(masks.iterdir())}
    return [replace(sample, mask=by_stem.get(sample.path.stem)) for sample in samples]


def _header(path: Path) -> imaging.Header:
    """The header of an image file, sizes as they are after EXIF rotation."""
    try:
        data = read_bytes(path)
        header = imaging.read_header(data)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None
    try:
        with Image.open(io.BytesIO(data)) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # the EXIF orientations that swap the sides
    except (OSError, SyntaxError, ValueError):
        raise UsageError(f"{path}: truncated or damaged image") from None
    return header._replace(width=header.height, height=header.width) if turned else header


def _channels(samples: Sequence[Sample], headers: Sequence[imaging.Header], colour: str) -> Literal[1, 3]:
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
        pixels = imaging.decode(read_bytes(path), channels=3).astype(np.int16)
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


def _standardise(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float64] = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-9)
    return scaled


def _components(adjacent: NDArray[np.bool_]) -> NDArray[np.int64]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(csr_array(adjacent), directed=False)
    return np.asarray(labels, dtype=np.int64)


def _formats() -> str:
    return ", ".join(suffix[1:] for suffix in imaging.SUFFIXES)
