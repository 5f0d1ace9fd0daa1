"""Data sets: which images show good parts, which show defects, and where their masks are.

They come from folders, array files, and whatever the monitor reads: recordings, videos, topics.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.image_files.folders import OTHER_ENDING, PassedOver, walk_images

from andon_trainer.data.arrays import array_file, open_array
from andon_trainer.data.manifest import MANIFEST, Facts, manifest_facts
from andon_trainer.data.mask_names import match_masks
from andon_trainer.data.recordings import find_recordings, is_stream, read_recordings
from andon_trainer.data.sample import GOOD, Sample
from andon_trainer.progress import Progress, quiet

TRAIN, TEST, MASKS = "train", "test", "ground_truth"
# With fewer there is nothing to hold out: a tail cannot be fitted to fewer than three scores.
MIN_IMAGES = 8
ELSEWHERE = "elsewhere than in train/good and test/*"
DEEPER = "in folders next to images"
UNLABELLED = "without a label"
NAMED_EXAMPLES = 3

DataSource = str | Path


@dataclass(frozen=True)
class Dataset:
    """The images found under a folder: `train` are good, `test` may be empty.

    `notes`: what a person should know about them: files passed over, masks without an image.
    """

    root: Path
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)


def open_dataset(
    data: DataSource | Sequence[DataSource],
    *,
    assume_good: bool = False,
    cameras: Sequence[str] = (),
    labels: Path | None = None,
    progress: Progress = quiet,
) -> Dataset:
    """Find the images of a source, or of several together.

    A source is a folder in MVTec AD layout (train/good, test/*, ground_truth/*) or of good images; an array file, see
    `data.arrays`; or whatever the monitor reads to an end: a recording, a video, a folder of them, a Kafka topic up to
    now, see `data.recordings`. Folders by day or batch inside train/good, test/* or a kind are read, too;
    those of good images are batches, see `data.splits.whole_batches`.

    `labels`: a file with labels of the frames of recordings and topics, as `andon-monitor export` writes them.
    `assume_good`: what no label, verdict or folder's name tells is good. `cameras`: of recordings and topics only
    frames of these.

    Raises UsageError: no such source, no images, only defects, nothing that says which images are good, two masks of
    one image; and SourceError.
    """
    sources = [data] if isinstance(data, str | Path) else list(data)
    if not sources:
        raise UsageError("no images; give a folder, a recording, a video or a topic")
    streams: list[str] = []
    found: list[Dataset] = []
    for source in map(_written_out, sources):
        inside = [source] if is_stream(source) else _recordings_in(Path(source))
        if inside:
            streams += inside
        else:
            found.append(_open_images(Path(source), assume_good))
    if streams:
        frames = read_recordings(streams, assume_good, cameras, progress, labels)
        test = (*frames.good, *frames.defects) if frames.defects else ()
        root = Path(_written_out(sources[0])) if len(sources) == 1 else _common_root(streams)
        found.append(Dataset(root, frames.good, test, frames.notes))
    return found[0] if len(found) == 1 else _joined(found)


def _written_out(source: DataSource) -> str:
    """A source as a text; of a URI that was made a path, which has one slash, both slashes."""
    text = str(source)
    return text.replace("kafka:/", "kafka://", 1) if text.startswith("kafka:/") and "://" not in text else text


def _recordings_in(root: Path) -> list[str]:
    """The recordings and videos in a folder that has no images, or below it."""
    if not root.is_dir():
        return []
    try:
        found = find_recordings(root)
        return found if found and next(walk_images(root, PassedOver()), None) is None else []
    except OSError as error:
        raise UsageError(f"{root}: cannot be read ({error.strerror})") from None


def _joined(datasets: Sequence[Dataset]) -> Dataset:
    """Several data sets as one: where one has test images, good ones of another are learned from."""
    return Dataset(
        _common_root([str(dataset.root) for dataset in datasets]),
        tuple(sample for dataset in datasets for sample in dataset.train),
        tuple(sample for dataset in datasets for sample in dataset.test),
        tuple(note for dataset in datasets for note in dataset.notes),
    )


def _common_root(places: Sequence[str]) -> Path:
    try:
        return Path(os.path.commonpath(places))
    except ValueError:  # absolute and relative ones
        return Path()


def _open_images(root: Path, assume_good: bool) -> Dataset:
    """The data set of a folder or array file. Raises UsageError."""
    if array_file(root) is not None:
        return _array_dataset(root)
    if not root.exists():
        raise UsageError(f"{root}: no such folder")
    if not root.is_dir():
        raise UsageError(
            f"{root}: a file; give a folder of images, an array file (npy, npz, IDX), a recording (.mcap) or a video"
        )
    try:
        return _folder_dataset(root, assume_good)
    except OSError as error:
        raise UsageError(f"{root}: cannot be read ({error.strerror})") from None


def _folder_dataset(root: Path, assume_good: bool) -> Dataset:
    """`_open_images` of a folder. Raises OSError."""
    passed_over = PassedOver()
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if TRAIN in folders or TEST in folders:
        return _mvtec_dataset(root, passed_over)
    found = sorted(walk_images(root, passed_over))
    if not found:
        raise UsageError(f"{root}: no images in it{_but(passed_over)}; known formats: {_formats()}")
    facts = None if GOOD in folders else manifest_facts(root)
    if facts is not None:
        return _listed_dataset(root, found, facts, assume_good, passed_over)
    if assume_good and GOOD not in folders:
        samples = in_batches([Sample(path, GOOD) for path in found], root)
        return Dataset(root, samples, (), _notes(root, passed_over))
    if any(path.parent == root for path in found):
        good = [path for path in found if path.parent == root]
        for path in found:
            if path.parent != root:
                passed_over.add(DEEPER, os.path.relpath(path, root))
        return Dataset(root, tuple(Sample(path, GOOD) for path in good), (), _notes(root, passed_over))
    # A folder for each kind: good images may be learned from, all can be evaluated.
    by_kind = [Sample(path, path.relative_to(root).parts[0]) for path in found]
    train = in_batches([sample for sample in by_kind if sample.label == GOOD], root / GOOD)
    return Dataset(root, train, tuple(by_kind), _notes(root, passed_over))


def in_batches(samples: Sequence[Sample], folder: Path) -> tuple[Sample, ...]:
    """Images of one folder. If it has subfolders, these are batches, and so are the images outside of them."""
    if all(sample.path.parent == folder for sample in samples):
        return tuple(samples)
    return tuple(replace(sample, batch=str(sample.path.parent.relative_to(folder))) for sample in samples)


def _listed_dataset(
    root: Path, found: Sequence[Path], facts: dict[Path, Facts], assume_good: bool, passed_over: PassedOver
) -> Dataset:
    """A folder with a manifest. Without any label in it all images are good, as in a plain folder; its subfolders are
    batches."""
    passed_over.remove(OTHER_ENDING, MANIFEST)
    has_labels = any(known.label is not None for known in facts.values())
    samples = []
    for path in found:
        known = facts.get(path, Facts())
        label = known.label or (GOOD if assume_good or not has_labels else None)
        if label is None:
            passed_over.add(UNLABELLED, os.path.relpath(path, root))
        else:
            samples.append(Sample(path, label, part=known.part, batch=known.batch or str(path.parent)))
    train = tuple(sample for sample in samples if sample.label == GOOD)
    test = tuple(samples) if len(train) < len(samples) else ()
    return Dataset(root, train, test, _notes(root, passed_over))


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
    learned = in_batches(train, root / TRAIN / GOOD)
    if not masks:
        return Dataset(root, learned, tuple(test), _notes(root, passed_over))
    mask_of: dict[Path, Path] = {}
    for kind in sorted({sample.label for sample in test}):
        images = [sample.path for sample in test if sample.label == kind]
        own = [mask for mask in masks if mask.relative_to(root).parts[1] == kind]
        mask_of |= match_masks(images, root / TEST / kind, own, root / MASKS / kind)
    masked = tuple(replace(sample, mask=mask_of.get(sample.path)) for sample in test)
    return Dataset(root, learned, masked, (*_notes(root, passed_over), *_mask_notes(root, masked, masks)))


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
        raise UsageError(
            f"{dataset.root}: no images of good parts, only {kinds}; put good ones into train/{GOOD}, or give "
            "--assume-good if all of them are good (in Python: open_dataset(..., assume_good=True))"
        )
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
