"""Labels as folders that the trainer reads, beside what a threshold needs to know of the line.

good/ID.jpg            false alarms, and borderline frames that are good
scratch/ID.jpg         confirmed defects, by kind
labels.jsonl           a line for each, as `andon-monitor compare --labels` takes it
line.json              for each model the scores of all frames, see `line_scores`
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon_monitor.common.files import part_of, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.inspection.frames import rfc3339
from andon_monitor.kafka.messages import image_type
from andon_monitor.review import figures
from andon_monitor.review.labels import truth
from andon_monitor.review.store import Store, must_exist

LABELS_FILE, LINE_FILE = "labels.jsonl", "line.json"
SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/bmp": ".bmp", "image/webp": ".webp", "image/tiff": ".tif"}
OTHER_SUFFIX = ".ppm"  # the one other format that `andon_monitor.model.imaging` decodes


@dataclass(frozen=True)
class Exported:
    """What was written: images by label, and labels whose image is gone."""

    images: dict[str, int]
    without_image: int


def export(store_folder: Path, folder: Path) -> Exported:
    """Write the labels of a store into a new folder, whole or not at all. Raises UsageError."""
    must_exist(store_folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: there is something already; give a new folder")
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
    """For each model what the line is known to score, frames with a verdict in the store alone.

    `good`: scores of frames that passed and nobody called a defect, and of false alarms; `false_alarms` the latter
    alone; `defects`: of confirmed ones; `unlabelled`: how many alarms nobody has judged, and are in neither.
    """
    weights = {sha256: card.weights_sha256 for sha256, _, card in figures.models(store)}
    for (sha256,) in store.connection.execute("SELECT DISTINCT sha256 FROM verdicts").fetchall():
        found: dict[str, list[float]] = {"good": [], "false_alarms": [], "defects": []}
        unlabelled = 0
        for row in store.connection.execute(
            "SELECT verdicts.score, verdicts.verdict, labelled.label FROM verdicts LEFT JOIN labelled USING (id) "
            "WHERE verdicts.sha256 = ? AND verdicts.score IS NOT NULL ORDER BY verdicts.score",
            (sha256,),
        ):
            passed, label = row["verdict"] == "good", row["label"]
            if label == "confirmed":
                found["defects"].append(row["score"])
            elif label == "false alarm" or (passed and label is None):
                found["good"].append(row["score"])
                if not passed:
                    found["false_alarms"].append(row["score"])
            else:
                unlabelled += not passed
        yield {"sha256": sha256, "weights_sha256": weights.get(sha256), **found, "unlabelled": unlabelled}


def _write(store: Store, folder: Path) -> Exported:
    images: dict[str, int] = {}
    lines = []
    without = 0
    for row in store.connection.execute(
        "SELECT * FROM labelled WHERE label IN ('confirmed', 'false alarm') ORDER BY captured_at, number"
    ).fetchall():
        name = truth(row["label"], row["defect"])
        assert name is not None
        line: dict[str, Any] = {
            "id": row["id"],
            "frame": {key: row[key] for key in ("topic", "partition", "offset")},
            "label": name,
            "camera": row["camera"],
            "captured_at": rfc3339(row["captured_at"]),
            "score": row["score"],
        }
        package = store.package(row["id"])
        if package is None:
            without += 1
        else:
            data = unpack(package).frame
            line["file"] = f"{name}/{row['id']}{SUFFIXES.get(image_type(data), OTHER_SUFFIX)}"
            write_whole(folder / line["file"], data)
            images[name] = images.get(name, 0) + 1
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    if not lines:
        raise UsageError(f"{store.folder}: nobody has called a frame a defect or a false alarm yet; nothing to export")
    write_whole(folder / LABELS_FILE, "".join(lines).encode())
    write_whole(folder / LINE_FILE, json.dumps(list(line_scores(store))).encode())
    return Exported(images, without)
