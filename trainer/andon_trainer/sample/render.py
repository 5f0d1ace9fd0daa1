"""The files of the sample: data sets in MVTec AD layout, and streams as the cameras on the line deliver them."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.errors import UsageError
from numpy.typing import NDArray

from andon_trainer.progress import Progress, quiet
from andon_trainer.sample.camera import jpeg
from andon_trainer.sample.defects import KINDS
from andon_trainer.sample.photo import photograph
from andon_trainer.sample.products import FACES, PLATE_TOP, Face

GOOD = "good"
CAMERA = "station-1"
STREAM_START = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)  # early shift on a Monday
TAKT_S = 0.5
JITTER_S = 0.02  # standard deviation of the time at which the light barrier triggers
DEFECT_SHARE = 0.02
# In the stream of a line: of the frames, those before the changeover; the pause of the changeover; how long after the
# first camera each further one sees the part.
SHARE_BEFORE_CHANGEOVER = 2 / 3
CHANGEOVER_S = 20.0
NEXT_CAMERA_S = 0.15
ORDERS = {"plate": "O-1001", "cover": "O-1002"}
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
class LineSummary:
    """How many images were written: `train` for each of `faces`, and the stream's frames, parts and defective parts."""

    train: int
    faces: tuple[str, ...]
    stream: int
    parts: int
    defective_parts: int


@dataclass(frozen=True)
class Passing:
    """One frame of a stream: when the part passes the camera, what it is (`good` or a kind of defect), and its face.

    `part` is what the line's controller knows about the part; None where there is no controller.
    """

    captured_at: datetime
    label: str
    face: Face = PLATE_TOP
    camera: str = CAMERA
    part: dict[str, str] | None = None


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
    counts = {"seed": seed, "train": train, "test_good": test_good, "test_defects": test_defects, "stream": stream}
    with new_folder(out, counts) as folder:
        parts = plan_stream(seed, stream)
        write_set(folder / "train" / GOOD, (seed, 0), train, None, progress)
        write_set(folder / "test" / GOOD, (seed, 1), test_good, None, progress)
        for number, kind in enumerate(KINDS):
            write_set(folder / "test" / kind, (seed, 2, number), test_defects, kind, progress)
        write_stream(folder / "stream", (seed, 3), parts, progress)
    defects = sum(part.label != GOOD for part in parts)
    return SampleSummary(train, test_good, test_defects, tuple(KINDS), stream, defects)


def write_line(
    out: Path, *, seed: int = 0, train: int = 150, stream: int = 600, progress: Progress = quiet
) -> LineSummary:
    """Write a line of two products and two cameras into the new folder `out`.

    For each face of a product, `out/<product>-<view>/train/good` has `train` images of good parts. `out/stream` has
    about `stream` frames: plates, seen from above and below, then a changeover, then covers, seen from above. As
    `write_sample` otherwise.
    """
    with new_folder(out, {"seed": seed, "train": train, "stream": stream}) as folder:
        passing = plan_line(seed, stream)
        for number, face in enumerate(FACES):
            write_set(folder / face.name / "train" / GOOD, (seed, 4, number), train, None, progress, face)
        write_stream(folder / "stream", (seed, 5), passing, progress)
    serials = {frame.part["id"] for frame in passing if frame.part is not None}
    defective = {frame.part["id"] for frame in passing if frame.part is not None and frame.label != GOOD}
    return LineSummary(train, tuple(face.name for face in FACES), len(passing), len(serials), len(defective))


@contextmanager
def new_folder(out: Path, counts: Mapping[str, int]) -> Iterator[Path]:
    """A folder that is moved to `out` once it is complete.

    Raises `UsageError` for an `out` that is not empty, or a negative count.
    """
    for name, value in counts.items():
        if value < 0:
            raise UsageError(f"{name}: {value}; give 0 or more")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out}: exists already; give a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        # One folder deeper: only its owner can read the temporary folder; everybody may read the sample.
        folder = Path(temporary) / "sample"
        yield folder
        if out.exists():
            out.rmdir()
        folder.rename(out)


def write_set(
    folder: Path,
    numbers: tuple[int, ...],
    count: int,
    kind: str | None,
    progress: Progress,
    face: Face = PLATE_TOP,
) -> None:
    """Write `count` images of new parts into `folder`, and the masks of a kind where MVTec AD has them."""
    folder.mkdir(parents=True)
    masks = folder.parent.parent / "ground_truth" / folder.name
    if kind is not None:
        masks.mkdir(parents=True)
    what = f"{folder.parent.name}/{folder.name}" if face is PLATE_TOP else f"{face.name}/{folder.parent.name}"
    for index in range(count):
        photo = photograph((*numbers, index), kind, face)
        (folder / f"{index:03d}.jpg").write_bytes(jpeg(photo.image))
        if kind is not None:
            _, png = cv2.imencode(".png", photo.mask)
            (masks / f"{index:03d}_mask.png").write_bytes(png.tobytes())
        progress(what, (index + 1) / count)


def plan_stream(seed: int, count: int) -> list[Passing]:
    """The parts of the stream: about one defect in fifty, with every kind in a long enough stream."""
    rng = np.random.default_rng([seed, 3])
    labels = deal_defects(rng, count)
    late = draw_delays(rng, count)
    return [
        Passing(STREAM_START + timedelta(seconds=index * TAKT_S + float(late[index])), labels.get(index, GOOD))
        for index in range(count)
    ]


def plan_line(seed: int, count: int) -> list[Passing]:
    """The frames of a line, about `count`: a defective part has its defect in one view.

    Cameras are named after their view. Serial numbers count the parts of each product.
    """
    rng = np.random.default_rng([seed, 5])
    runs = []
    remaining = {"plate": count * SHARE_BEFORE_CHANGEOVER, "cover": count * (1 - SHARE_BEFORE_CHANGEOVER)}
    for product, frames in remaining.items():
        faces = [face for face in FACES if face.product == product]
        runs += [(faces, f"{product}-{number + 1:05d}") for number in range(round(frames / len(faces)))]
    labels = deal_defects(rng, len(runs))
    late = draw_delays(rng, len(runs))
    passing = []
    for index, (faces, serial) in enumerate(runs):
        product = faces[0].product
        pause = CHANGEOVER_S if product != runs[0][0][0].product else 0.0
        seconds = index * TAKT_S + pause + float(late[index])
        damaged = int(rng.integers(len(faces)))
        for number, face in enumerate(faces):
            captured_at = STREAM_START + timedelta(seconds=seconds + number * NEXT_CAMERA_S)
            label = labels.get(index, GOOD) if number == damaged else GOOD
            part = {"id": serial, "product": product, "order": ORDERS[product], "view": face.view}
            passing.append(Passing(captured_at, label, face, face.view, part))
    return passing


def deal_defects(rng: np.random.Generator, count: int) -> dict[int, str]:
    """The kinds of the defective ones among `count` parts, by their index."""
    kinds = list(KINDS)
    amount = round(DEFECT_SHARE * count)
    if count >= ALL_KINDS_MIN_PARTS:
        amount = max(amount, len(kinds))
    # In random order, but no kind comes twice before every kind has come once.
    dealt = [kinds[index] for _ in range(amount // len(kinds) + 1) for index in rng.permutation(len(kinds))]
    return dict(zip(rng.permutation(count)[:amount].tolist(), dealt[:amount], strict=True))


def draw_delays(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """How late each part passes, in seconds: less than half the takt, so that parts stay in order."""
    return np.clip(rng.normal(0, JITTER_S, count), -TAKT_S / 5, TAKT_S / 5)


def write_stream(folder: Path, numbers: tuple[int, ...], frames: Sequence[Passing], progress: Progress) -> None:
    """Write the `frames` and `manifest.jsonl`, one line of JSON per frame in order of capture."""
    (folder / "frames").mkdir(parents=True)
    lines = []
    for index, frame in enumerate(frames):
        file = f"frames/{index:06d}.jpg"
        kind = None if frame.label == GOOD else frame.label
        (folder / file).write_bytes(jpeg(photograph((*numbers, index), kind, frame.face).image))
        captured_at = frame.captured_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"file": file, "camera": frame.camera, "captured_at": captured_at, "label": frame.label}
        lines.append(json.dumps(line if frame.part is None else line | {"part": frame.part}) + "\n")
        progress("stream", (index + 1) / len(frames))
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
