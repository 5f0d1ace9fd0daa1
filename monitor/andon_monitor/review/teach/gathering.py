"""The images of a refit: frames that people labelled, and training images without those that show a defect."""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.common.files import write_whole
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.image_files.signatures import suffix_of
from andon_monitor.review.export import OTHER_SUFFIX
from andon_monitor.review.labels import UNNAMED_KIND, truth
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery, Label, StoredFrame

GOOD = "good"
# Every third frame that was labelled good is not learned from: it shows whether the new model is better on new parts.
HELD_OUT_OF = 3
MIN_GOOD, MIN_DEFECTS = 10, 5  # labelled frames; with fewer nobody could tell whether a new model is better
MIN_KINDS, MIN_OF_KIND = 2, 4  # kinds of defects and images of each, with which `andon-trainer classify` learns kinds
LEARNED, TESTED = "train/good", "test"
NOT_LEARNED = (TESTED, "ground_truth")  # folders of a training folder in MVTec AD layout


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a refit has to work with; `missing` says in words what is too little, "" for nothing."""

    good: Sequence[StoredFrame]
    defects: Sequence[StoredFrame]

    @property
    def missing(self) -> str:
        """What people have to label first."""
        wanted = (
            (MIN_GOOD - len(self.good), "frame labelled good (a false alarm)", "frames labelled good (false alarms)"),
            (MIN_DEFECTS - len(self.defects), "confirmed defect", "confirmed defects"),
        )
        parts = [f"{count} more {one if count == 1 else many}" for count, one, many in wanted if count > 0]
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Images:
    """Where the images are: `sources` for the fit, `tested` files (with the truth) for the comparison; counts."""

    sources: list[str]
    tested: list[tuple[str, str]]
    learned: int  # labelled frames that are learned from
    left_out: int  # training images that people labelled as defects
    kinds: str | None = None  # a folder with a folder for each kind of defect, where there are enough to learn from


def gather(store: Store, models: Sequence[str]) -> Gathered:
    """The labelled frames of some models whose pictures are kept."""

    def find(label: Label) -> list[StoredFrame]:
        query = FrameQuery(models=tuple(models), labels=(label,), with_picture=True)
        return store.frames.find(query, oldest_first=True)

    return Gathered(find("false alarm"), find("confirmed"))


def write_images(store: Store, gathered: Gathered, training: Path, folder: Path) -> Images:
    """Write labelled frames into a folder in MVTec AD layout; leave defects out of the training images.

    Raises UsageError, OutputError, EvidenceError.
    """
    tested: list[tuple[str, str]] = []
    learned, defects = 0, set[str]()
    for frame in (*gathered.good, *gathered.defects):
        package = store.package(frame.id)
        if package is None:
            continue
        data = unpack(package).frame
        kind = truth(frame.label, frame.defect_kind) or "defect"
        name = f"{frame.id}{suffix_of(data, OTHER_SUFFIX)}"
        if kind == GOOD and int(frame.id[:8], 16) % HELD_OUT_OF:
            write_whole(folder / LEARNED / name, data)
            learned += 1
            continue
        path = folder / TESTED / kind / name
        write_whole(path, data)
        tested.append((str(path), kind))
        if kind != GOOD:
            defects.add(hashlib.sha256(data).hexdigest())
    source, left_out = _without(training, defects, folder.parent / "images")
    tested += _test_images(training)
    return Images([str(source), str(folder)], tested, learned, left_out, _write_kinds(tested, folder.parent / "kinds"))


def _write_kinds(tested: Sequence[tuple[str, str]], folder: Path) -> str | None:
    """The images of each kind that people named, for `andon-trainer classify`; None where that would refuse them."""
    by_kind: dict[str, dict[str, str]] = {}  # kind -> hash of the content, so that no image counts twice -> path
    for path, kind in tested:
        if kind not in (GOOD, UNNAMED_KIND):
            by_kind.setdefault(kind, {})[_hash(Path(path))] = path
    enough = {kind: list(found.values()) for kind, found in by_kind.items() if len(found) >= MIN_OF_KIND}
    if len(enough) < MIN_KINDS:
        return None
    for kind, paths in enough.items():
        (folder / kind).mkdir(parents=True)
        for number, path in enumerate(paths):
            _link(path, str(folder / kind / f"{number:05d}{Path(path).suffix}"))
    return str(folder)


def _without(training: Path, defects: set[str], copy: Path) -> tuple[Path, int]:
    """The training images; where some are defects, a copy of the folder without those. Returns how many they are."""
    found = [path for path in _learned(training) if defects and _hash(path) in defects]
    if not found:
        return training, 0
    shutil.copytree(training, copy, copy_function=_link, ignore=_ignoring(set(found)))
    return copy, len(found)


def _ignoring(left_out: set[Path]) -> Callable[[str, list[str]], list[str]]:
    def ignore(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name) in left_out]

    return ignore


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copy2(source, target)


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _learned(training: Path) -> list[Path]:
    """The images of a training folder that are learned from."""
    return [path for path in _images(training) if path.relative_to(training).parts[0] not in NOT_LEARNED]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _test_images(training: Path) -> list[tuple[str, str]]:
    """The test images next to the training images, where the folder has any."""
    folder = training / TESTED
    return [(str(path), path.relative_to(folder).parts[0]) for path in _images(folder)] if folder.is_dir() else []
