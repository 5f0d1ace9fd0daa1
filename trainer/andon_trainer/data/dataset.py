"""Folders of images: which are good parts, which are defects, and where their masks are."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.image_files.folders import PassedOver, walk_images

from andon_trainer.data.arrays import array_file, open_array
from andon_trainer.data.mask_names import match_masks

GOOD = "good"
TRAIN, TEST, MASKS = "train", "test", "ground_truth"
# With fewer there is nothing to hold out: a tail cannot be fitted to fewer than three scores.
MIN_IMAGES = 8
ELSEWHERE = "elsewhere than in train/good and test/*"
DEEPER = "images in folders next to images"
NAMED_EXAMPLES = 3


@dataclass(frozen=True)
class Sample:
    """One image file: its label ("good" or a kind of defect) and, where there is one, its mask file."""

    path: Path
    label: str
    mask: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """The images found under a folder: `train` are good, `test` may be empty.

    `notes`: what a person should know about the folder: files passed over, masks without an image.
    """

    root: Path
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)


def open_dataset(root: str | Path) -> Dataset:
    """Find the images of an MVTec AD layout (train/good, test/*, ground_truth/*) or a plain folder of good ones.

    An array file counts as a folder, see `data.arrays`; all its images are good, unless its labels say which ones are.
    Folders by day or batch inside train/good, test/* or a kind are read, too. Raises UsageError: no such folder, no
    images, only defects, two masks of one image.
    """
    root = Path(root)
    if array_file(root) is not None:
        return _array_dataset(root)
    if not root.exists():
        raise UsageError(f"{root}: no such folder")
    if not root.is_dir():
        raise UsageError(f"{root}: a file; give a folder of images, or an array file (npy, npz, IDX)")
    try:
        return _folder_dataset(root)
    except OSError as error:
        raise UsageError(f"{root}: cannot be read ({error.strerror})") from None


def _folder_dataset(root: Path) -> Dataset:
    """`open_dataset` of a folder. Raises OSError."""
    passed_over = PassedOver()
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if TRAIN in folders or TEST in folders:
        return _mvtec_dataset(root, passed_over)
    direct = sorted(walk_images(root, passed_over))
    if any(path.parent == root for path in direct):
        good = [path for path in direct if path.parent == root]
        for path in direct:
            if path.parent != root:
                passed_over.add(DEEPER, os.path.relpath(path, root))
        return Dataset(root, tuple(Sample(path, GOOD) for path in good), (), _notes(root, passed_over))
    by_kind = [Sample(path, path.relative_to(root).parts[0]) for path in direct]
    if not by_kind:
        raise UsageError(f"{root}: no images in it{_but(passed_over)}; known formats: {_formats()}")
    # A folder for each kind: good images may be learned from, all can be evaluated.
    train = tuple(sample for sample in by_kind if sample.label == GOOD)
    return Dataset(root, train, tuple(by_kind), _notes(root, passed_over))


def _mvtec_dataset(root: Path, passed_over: PassedOver) -> Dataset:
    train: list[Sample] = []
    test: list[Sample] = []
    masks: list[Path] = []
    for path in sorted(walk_images(root, passed_over)):
        match path.relative_to(root).parts:
            case (str(top), str(kind), _, *_) if (top, kind) == (TRAIN, GOOD):
                train.append(Sample(path, GOOD))
            case (str(top), str(kind), _, *_) if top == TEST:
                test.append(Sample(path, kind))
            case (str(top), _, _, *_) if top == MASKS:
                masks.append(path)
            case _:
                passed_over.add(ELSEWHERE, os.path.relpath(path, root))
    if not train and not test:
        raise UsageError(
            f"{root}: no images in {TRAIN}/{GOOD} nor in {TEST}/*{_but(passed_over)}; known formats: {_formats()}"
        )
    if not masks:
        return Dataset(root, tuple(train), tuple(test), _notes(root, passed_over))
    mask_of: dict[Path, Path] = {}
    for kind in sorted({sample.label for sample in test}):
        images = [sample.path for sample in test if sample.label == kind]
        own = [mask for mask in masks if mask.relative_to(root).parts[1] == kind]
        mask_of |= match_masks(images, root / TEST / kind, own, root / MASKS / kind)
    masked = tuple(Sample(sample.path, sample.label, mask_of.get(sample.path)) for sample in test)
    return Dataset(root, tuple(train), masked, (*_notes(root, passed_over), *_mask_notes(root, masked, masks)))


def _notes(root: Path, passed_over: PassedOver) -> tuple[str, ...]:
    return (f"{root}: {passed_over}",) if passed_over.total else ()


def _but(passed_over: PassedOver) -> str:
    return f" ({passed_over})" if passed_over.total else ""


def _mask_notes(root: Path, test: tuple[Sample, ...], masks: list[Path]) -> list[str]:
    """What a person should know about masks that belong to no image, and images of defects without a mask."""
    used = {sample.mask for sample in test}
    unused = [os.path.relpath(mask, root) for mask in masks if mask not in used]
    defects = [sample for sample in test if sample.label != GOOD]
    without = [os.path.relpath(sample.path, root) for sample in defects if sample.mask is None]
    notes = []
    if unused:
        notes.append(f"{root}: {len(unused)} of {len(masks)} masks belong to no image ({_examples(unused)})")
    if without:
        notes.append(
            f"{root}: {len(without)} of {len(defects)} images of defects have no mask ({_examples(without)}); pixel "
            "figures leave them out"
        )
    return notes


def _examples(names: list[str]) -> str:
    return ", ".join(map(repr, names[:NAMED_EXAMPLES])) + ", ..." * (len(names) > NAMED_EXAMPLES)


def good_samples(dataset: Dataset) -> tuple[Sample, ...]:
    """The images to learn from. Raises UsageError where there are none, or too few."""
    if not dataset.train:
        kinds = ", ".join(sorted({sample.label for sample in dataset.test} - {GOOD}))
        raise UsageError(f"{dataset.root}: no images of good parts, only {kinds}; put good ones into train/{GOOD}")
    if len(dataset.train) < MIN_IMAGES:
        raise UsageError(f"{dataset.root}: {len(dataset.train)} images of good parts, at least {MIN_IMAGES} are needed")
    return dataset.train


def _array_dataset(root: Path) -> Dataset:
    array = open_array(root)
    labels = array.labels or (GOOD,) * len(array.images)
    samples = tuple(Sample(path, label) for path, label in zip(array.paths(), labels, strict=True))
    if GOOD not in labels:
        return Dataset(root, samples, ())
    good = tuple(sample for sample in samples if sample.label == GOOD)
    return Dataset(root, good, () if len(good) == len(samples) else samples)


def _formats() -> str:
    return ", ".join(suffix[1:] for suffix in SUFFIXES)
