"""Labels as folders that the trainer reads, together with what it needs to choose a threshold for the line.

good/ID.jpg            false alarms, and borderline frames that are good
scratch/ID.jpg         confirmed defects, by kind
labels.jsonl           a line for each, as `andon-monitor compare --labels` reads it
line.json              for each model the scores of all frames, see `line_scores`
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon_monitor.common.files import part_of, write_whole
from andon_monitor.common.times import rfc3339
from andon_monitor.errors import UsageError
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.image_files.signatures import suffix_of
from andon_monitor.review import figures
from andon_monitor.review.labels import truth
from andon_monitor.review.store import Store, must_exist
from andon_monitor.review.store.rows import FrameQuery

LABELS_FILE, LINE_FILE = "labels.jsonl", "line.json"
OTHER_SUFFIX = ".ppm"  # the rarer kinds of the one other format that `andon_monitor.model.imaging` decodes


@dataclass(frozen=True)
class Exported:
    """What was written: the number of images by label, and of labels whose image is no longer kept."""

    images: dict[str, int]
    without_image: int


def export(store_folder: Path, folder: Path) -> Exported:
    """Write the labels of a store into a new folder, completely or not at all. Raises UsageError."""
    must_exist(store_folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists and is not empty; give a new folder")
    part = part_of(folder)
    shutil.rmtree(part, ignore_errors=True)
    try:
        done = _write(Store(store_folder), part)
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return done


def line_scores(store: Store) -> Iterator[dict[str, Any]]:
    """For each model the scores of frames whose verdict is in the store.

    `good`: of frames that passed and were not called a defect, and of false alarms; `false_alarms`: of the latter only;
    `defects`: of confirmed defects; `unlabelled`: the number of alarms without a sure label, which are in none of them.
    """
    weights = {model.sha256: model.card.weights_sha256 for model in figures.known_models(store)}
    for sha256 in store.verdicts.models():
        found: dict[str, list[float]] = {"good": [], "false_alarms": [], "defects": []}
        unlabelled = 0
        for row in store.verdicts.scores(sha256):
            passed = row.verdict == "good"
            if row.label == "confirmed":
                found["defects"].append(row.score)
            elif row.label == "false alarm" or (passed and row.label is None):
                found["good"].append(row.score)
                if not passed:
                    found["false_alarms"].append(row.score)
            else:
                unlabelled += not passed
        yield {"sha256": sha256, "weights_sha256": weights.get(sha256), **found, "unlabelled": unlabelled}


def label_lines(store: Store) -> Iterator[dict[str, Any]]:
    """A line of `labels.jsonl` for each frame that was labelled good or a defect, the oldest first."""
    for frame in store.frames.find(FrameQuery(labels=("confirmed", "false alarm")), oldest_first=True):
        label = truth(frame.label, frame.defect_kind)
        assert label is not None
        line: dict[str, Any] = {
            "id": frame.id,
            "frame": frame.place,
            "label": label,
            "camera": frame.camera,
            "captured_at": rfc3339(frame.captured_at),
            "score": frame.score,
        }
        if frame.identity:
            line["part"] = frame.identity
        yield line


def _write(store: Store, folder: Path) -> Exported:
    images: dict[str, int] = {}
    lines = []
    without_image = 0
    for line in label_lines(store):
        label = line["label"]
        package = store.package(line["id"])
        if package is None:
            without_image += 1
        else:
            data = unpack(package).frame
            line["file"] = f"{label}/{line['id']}{suffix_of(data, OTHER_SUFFIX)}"
            write_whole(folder / line["file"], data)
            images[label] = images.get(label, 0) + 1
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    if not lines:
        raise UsageError(f"{store.folder}: no frame is labelled as a defect, a false alarm or good; nothing to export")
    write_whole(folder / LABELS_FILE, "".join(lines).encode())
    write_whole(folder / LINE_FILE, json.dumps(list(line_scores(store))).encode())
    return Exported(images, without_image)
