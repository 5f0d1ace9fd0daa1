"""The files of the sample part: a data set in MVTec AD layout, and a stream as a camera on the line delivers it."""

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.errors import UsageError

from andon_trainer.progress import Progress, quiet
from andon_trainer.sample.camera import jpeg
from andon_trainer.sample.defects import KINDS
from andon_trainer.sample.photo import photograph

GOOD = "good"
CAMERA = "station-1"
STREAM_START = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)  # early shift on a Monday
TAKT_S = 0.5
JITTER_S = 0.02  # standard deviation of the time at which the light barrier triggers
DEFECT_SHARE = 0.02
# A stream of at least this many parts shows every kind: with so few parts, chance might leave one out.
ALL_KINDS_MIN_PARTS = 300


@dataclass(frozen=True)
class SampleSummary:
    """How many images were written; `test_defects` is per kind."""

    train: int
    test_good: int
    test_defects: int
    kinds: tuple[str, ...]
    stream: int
    stream_defects: int


@dataclass(frozen=True)
class Passing:
    """One part of the stream: when it passes the camera, and what it is (`good` or a kind of defect)."""

    captured_at: datetime
    label: str


def write_sample(
    out: Path,
    *,
    seed: int = 0,
    train: int = 300,
    test_good: int = 60,
    test_defects: int = 15,
    stream: int = 600,
    progress: Progress = quiet,
) -> SampleSummary:
    """Write the data set and the stream into the new folder `out`, with `test_defects` images of each kind.

    The same arguments give the same bytes. Everything is written next to `out` and moved there at the end, so `out` is
    complete or absent. Raises `UsageError` when `out` exists and is not an empty folder, or a number is negative.
    """
    numbers = {"seed": seed, "train": train, "test_good": test_good, "test_defects": test_defects, "stream": stream}
    for name, value in numbers.items():
        if value < 0:
            raise UsageError(f"{name}: {value}; give 0 or more")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out}: exists already; give a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        # One folder deeper: only its owner can read the temporary folder; everybody may read the sample.
        folder = Path(temporary) / "sample"
        write_set(folder / "train" / GOOD, (seed, 0), train, None, progress)
        write_set(folder / "test" / GOOD, (seed, 1), test_good, None, progress)
        for number, kind in enumerate(KINDS):
            write_set(folder / "test" / kind, (seed, 2, number), test_defects, kind, progress)
        parts = plan_stream(seed, stream)
        write_stream(folder / "stream", (seed, 3), parts, progress)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    defects = sum(part.label != GOOD for part in parts)
    return SampleSummary(train, test_good, test_defects, tuple(KINDS), stream, defects)


def write_set(folder: Path, numbers: tuple[int, ...], count: int, kind: str | None, progress: Progress) -> None:
    """Write `count` images of new parts into `folder`, and the masks of a kind where MVTec AD has them."""
    folder.mkdir(parents=True)
    masks = folder.parent.parent / "ground_truth" / folder.name
    if kind is not None:
        masks.mkdir(parents=True)
    what = f"{folder.parent.name}/{folder.name}"
    for index in range(count):
        photo = photograph((*numbers, index), kind)
        (folder / f"{index:03d}.jpg").write_bytes(jpeg(photo.image))
        if kind is not None:
            _, png = cv2.imencode(".png", photo.mask)
            (masks / f"{index:03d}_mask.png").write_bytes(png.tobytes())
        progress(what, (index + 1) / count)


def plan_stream(seed: int, count: int) -> list[Passing]:
    """The parts of the stream: about one defect in fifty, with every kind in a long enough stream."""
    rng = np.random.default_rng([seed, 3])
    kinds = list(KINDS)
    amount = round(DEFECT_SHARE * count)
    if count >= ALL_KINDS_MIN_PARTS:
        amount = max(amount, len(kinds))
    # In random order, but no kind comes twice before every kind has come once.
    dealt = [kinds[index] for _ in range(amount // len(kinds) + 1) for index in rng.permutation(len(kinds))]
    labels = dict(zip(rng.permutation(count)[:amount].tolist(), dealt[:amount], strict=True))
    # Less than half the takt, so that parts stay in order.
    late = np.clip(rng.normal(0, JITTER_S, count), -TAKT_S / 5, TAKT_S / 5)
    return [
        Passing(STREAM_START + timedelta(seconds=index * TAKT_S + float(late[index])), labels.get(index, GOOD))
        for index in range(count)
    ]


def write_stream(folder: Path, numbers: tuple[int, ...], parts: list[Passing], progress: Progress) -> None:
    """Write the frames of `parts` and `manifest.jsonl`, one line of JSON per frame in order of capture."""
    (folder / "frames").mkdir(parents=True)
    lines = []
    for index, part in enumerate(parts):
        file = f"frames/{index:06d}.jpg"
        kind = None if part.label == GOOD else part.label
        (folder / file).write_bytes(jpeg(photograph((*numbers, index), kind).image))
        captured_at = part.captured_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines.append(
            json.dumps({"file": file, "camera": CAMERA, "captured_at": captured_at, "label": part.label}) + "\n"
        )
        progress("stream", (index + 1) / len(parts))
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
