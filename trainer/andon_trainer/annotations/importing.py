"""From a file of annotations and a folder of images to our folders: train/good, test/KIND, ground_truth/KIND."""

import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.common.files import cannot_write, part_of
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits, read_header
from andon_monitor.image_files.signatures import suffix_of

from andon_trainer.annotations import coco, cvat, label_studio, lookout
from andon_trainer.annotations.marked import Area, Marked, Pixels, Size
from andon_trainer.annotations.references import ImageFolder, MissingImageError
from andon_trainer.annotations.text import parse_json, read_text
from andon_trainer.data.dataset import MASKS, TEST, TRAIN
from andon_trainer.data.images import naming, read_bytes
from andon_trainer.data.sample import GOOD
from andon_trainer.progress import Progress, quiet

FORMATS = ("lookout", "coco", "cvat", "label-studio")
GOOD_LABELS = ("good", "normal", "ok")
OTHER_SUFFIX = ".ppm"  # the rarer kinds of the one other format that is decoded
UNUSABLE = re.compile(r"[^\w.+ -]")  # in the name of a file or folder, on some system
MAX_NAME_CHARS = 100
MAX_AREAS = 2_000  # of an image: each is drawn at its full size
UNNAMED = "defect"  # a kind whose label has no usable character


@dataclass(frozen=True)
class Imported:
    """How many images were written: good ones to learn from and to test with, defects by kind, and masks.

    `unmarked` of the good ones had no annotation. `skipped`: images that were left out, by reason.
    """

    train: int
    test_good: int
    kinds: dict[str, int]
    masks: int
    unmarked: int
    skipped: dict[str, int]


def import_annotations(
    file: Path,
    folder: Path,
    images: Path,
    *,
    source_format: str | None = None,
    test_good: float = 0.2,
    good_labels: Sequence[str] = GOOD_LABELS,
    skip_unmarked: bool = False,
    skip_missing: bool = False,
    limits: DecodingLimits = DEFAULT_LIMITS,
    progress: Progress = quiet,
) -> Imported:
    """Write the new folder `folder`, completely or not at all.

    `test_good`: the share of good images that goes into test/good. An image with several labels has that of the
    largest area. An image without annotations is good, unless `skip_unmarked`. Raises UsageError, OutputError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists and is not empty; give a new folder")
    place = ImageFolder(images)
    marked, unannotated = _read(file, source_format, place, limits)
    skipped: Counter[str] = Counter({"without an annotation": unannotated})
    if skip_unmarked:
        skipped["without an annotation"] += sum(not one.areas for one in marked)
        marked = [one for one in marked if one.areas]
    found: dict[Path, Marked] = {}
    missing = []
    for one in marked:
        try:
            path = place.find(one.reference, one.place)
        except MissingImageError as error:
            missing.append(error)
            continue
        if path in found:
            raise UsageError(f"{one.place}: {path} comes twice, first as {found[path].place.rpartition(': ')[2]}")
        found[path] = one
    if missing and not skip_missing:
        rest = f", and {len(missing) - 1} others; --skip-missing leaves them out" if len(missing) > 1 else ""
        raise UsageError(f"{missing[0]}{rest}")
    skipped["not in the folder of images"] = len(missing)
    if not found:
        raise UsageError(f"{file}: names no image with an annotation")
    part = part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    try:
        writer = _Writer(part, test_good, {label.lower() for label in good_labels}, limits)
        for number, (path, one) in enumerate(found.items()):
            progress("importing", number / len(found))
            writer.add(path, one)
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return writer.imported({reason: count for reason, count in skipped.items() if count})


class _Writer:
    """Writes images and masks one by one, and counts."""

    def __init__(self, root: Path, test_good: float, good_labels: set[str], limits: DecodingLimits) -> None:
        self._root = root
        self._test_good = test_good
        self._good_labels = good_labels
        self._limits = limits
        self._counts: Counter[str] = Counter()  # by folder
        self._good = self._masks = self._unmarked = 0

    def add(self, path: Path, marked: Marked) -> None:
        """Write an image, byte for byte, and its mask."""
        content = read_bytes(path)
        with naming(path):
            header = read_header(content)
            self._limits.check(header)
        size = header.upright_size
        if marked.size is not None and marked.size != size:
            wide, high = marked.size
            raise UsageError(f"{marked.place}: {wide} x {high} pixels, {path} has {size[0]} x {size[1]}")
        if len(marked.areas) > MAX_AREAS:
            raise UsageError(f"{marked.place}: {len(marked.areas)} areas; right are up to {MAX_AREAS}")
        label, mask = self._label(marked.areas, size)
        folder = f"{TEST}/{label}"
        if label == GOOD:
            self._unmarked += not marked.areas
            self._good += 1
            # Spread over all of them: whole shares of the good images seen so far.
            before, now = int((self._good - 1) * self._test_good), int(self._good * self._test_good)
            folder = folder if now > before else f"{TRAIN}/{GOOD}"
        self._counts[folder] += 1
        # Numbered, so that two folders may have images of one name.
        name = f"{self._counts[folder]:06d}-{_usable(path.stem)}"
        self._write(f"{folder}/{name}{suffix_of(content, OTHER_SUFFIX)}", content)
        if mask is not None and mask.any():
            encoded = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1]
            self._write(f"{MASKS}/{label}/{name}_mask.png", encoded.tobytes())
            self._masks += 1

    def imported(self, skipped: dict[str, int]) -> Imported:
        """What was written."""
        counts = dict(self._counts)
        train, test_good = counts.pop(f"{TRAIN}/{GOOD}", 0), counts.pop(f"{TEST}/{GOOD}", 0)
        kinds = {folder.partition("/")[2]: count for folder, count in sorted(counts.items())}
        return Imported(train, test_good, kinds, self._masks, self._unmarked, skipped)

    def _label(self, areas: Sequence[Area], size: Size) -> tuple[str, Pixels | None]:
        """The kind of the largest area, or good, and the pixels of all defects."""
        sizes: dict[str, int] = {}
        whole: Pixels | None = None
        for area in areas:
            if area.label.lower() in self._good_labels:
                continue
            kind = _usable(area.label).strip(". ") or UNNAMED
            mask = None if area.draw is None else area.draw(size)
            pixels = 0 if mask is None else int(mask.sum())
            if pixels or not area.may_be_empty:
                sizes[kind] = sizes.get(kind, 0) + pixels
            if mask is not None:
                whole = mask if whole is None else whole | mask
        return (max(sizes, key=lambda kind: sizes[kind]) if sizes else GOOD), whole

    def _write(self, name: str, content: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _read(
    file: Path, source_format: str | None, images: ImageFolder, limits: DecodingLimits
) -> tuple[list[Marked], int]:
    """The images of the file, and the number of those that nobody annotated. Raises UsageError."""
    text = read_text(file)
    name = str(file)
    known = source_format or _format_of(text, name)
    if known == "lookout":
        return lookout.read(text, name, images, limits), 0
    if known == "cvat":
        return cvat.read(text, name), 0
    data = parse_json(text, name)
    if known == "coco" and isinstance(data, dict):
        return coco.read(data, name), 0
    if known == "label-studio" and isinstance(data, list):
        return label_studio.read(data, name)
    raise UsageError(f"{name}: not {known}: that is {'an object' if known == 'coco' else 'a list of tasks'} in JSON")


def _format_of(text: str, name: str) -> str:
    """The format by the file's beginning. Raises UsageError."""
    start = text.lstrip()[:1]
    if start == "<":
        return "cvat"
    if start == "[":
        return "label-studio"
    if start == "{":
        return "lookout" if '"source-ref"' in text.lstrip().split("\n", 1)[0] else "coco"
    raise UsageError(f"{name}: of no format that is known: {', '.join(FORMATS)}")


def _usable(name: str) -> str:
    """A name for files and folders on every system."""
    return UNUSABLE.sub("_", unicodedata.normalize("NFC", name))[:MAX_NAME_CHARS]
