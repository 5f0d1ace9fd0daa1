"""Folders of images: which are good parts, which are defects, and where their masks are."""

from dataclasses import dataclass, replace
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import SUFFIXES

from andon_trainer.data.arrays import array_file, open_array

GOOD = "good"
# With fewer there is nothing to hold out: a tail cannot be fitted to fewer than three scores.
MIN_IMAGES = 8


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

    An array file counts as a folder, see `data.arrays`; all its images are good, unless its labels say which ones are.
    Raises UsageError: no such folder, no images, only defects.
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
    # A folder for each kind: good images may be learned from, all can be evaluated.
    return Dataset(root, tuple(sample for sample in by_kind if sample.label == GOOD), tuple(by_kind))


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


def _samples(folder: Path, label: str, masks: Path | None = None) -> list[Sample]:
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    samples = [Sample(path, label) for path in paths]
    if masks is None or not masks.is_dir():
        return samples
    by_stem = {path.stem.removesuffix("_mask"): path for path in sorted(masks.iterdir())}
    return [replace(sample, mask=by_stem.get(sample.path.stem)) for sample in samples]


def _formats() -> str:
    return ", ".join(suffix[1:] for suffix in SUFFIXES)
