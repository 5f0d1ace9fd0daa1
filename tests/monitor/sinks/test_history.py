"""The history of a line: good frames in an archive, defects as image files, also after a crash."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.common.files import PART
from andon_monitor.formats.latent_archive import Archive, ArchiveWriter
from andon_monitor.inspection.frames import Frame, Position, Verdict
from andon_monitor.inspection.inspector import Inspection, Prepared
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.file import Model
from andon_monitor.sinks.history import History

from tests.fixtures.commands import andon


def inspection(model: Model, number: int, outcome: str = "good", frame: Frame | None = None) -> Inspection:
    frame = frame or Frame("station-1", 1_767_592_800.0 + number, b"bytes", Position("t", "f", 0, number), file="a.jpg")
    verdict = Verdict(
        f"{number:032d}", frame.camera, frame.captured_at, outcome, "m", model.sha256, 1.0, frame.position
    )
    pixels = None if outcome == "uninspectable" else model.golden_frames[0]
    return Inspection(Prepared(frame, pixels), verdict, model=model)


@pytest.fixture(scope="module")
def model(model_file: Path) -> Model:
    return Model.load(model_file, "cpu")


def test_a_run_keeps_good_frames_in_an_archive_and_defects_as_they_came(
    model_file: Path, sample_folder: Path, tmp_path: Path
) -> None:
    verdicts, history = tmp_path / "v.jsonl", tmp_path / "history"
    done = andon(
        *("run", "--model", model_file, "--source", sample_folder / "stream", "--verdicts", verdicts, "--no-server"),
        *("--set", f"output.history={history}"),
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in verdicts.read_text().splitlines()]
    good = [line for line in lines if line["verdict"] == "good"]
    (path,) = history.glob("*.andon")
    packed = Archive(path)
    packed.header.check(Autoencoder.load(model_file, "cpu"), path)
    names = [name for chunk, _ in packed for name in chunk]
    assert names == [f"{line['camera']}/{line['captured_at']}" for line in good]
    assert path.stat().st_size / len(good) < 400, "a fraction of a JPEG, with a header shared by so few"
    kept = {file.stem for file in history.glob("defects/*")}
    assert kept == {line["id"] for line in lines if line["verdict"] == "defect"}


def test_what_is_kept_whole_is_what_is_not_good(model: Model, tmp_path: Path) -> None:
    history = History(tmp_path, "cpu")
    history.write([inspection(model, 0), inspection(model, 1, "defect"), inspection(model, 2, "uninspectable")])
    history.close("complete")
    (file,) = (tmp_path / "defects").iterdir()
    assert (file.name, file.read_bytes()) == (f"{1:032d}.jpg", b"bytes")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".pgm"])
def test_a_defect_that_came_without_a_name_is_kept_under_an_ending_that_opens_it(
    model: Model, tmp_path: Path, suffix: str
) -> None:
    data = cv2.imencode(suffix, np.zeros((8, 8), np.uint8))[1].tobytes()
    nameless = inspection(model, 0, "defect", Frame("c", 0.0, data, Position("andon.frames", "topic", 0, 0)))
    history = History(tmp_path, "cpu")
    history.write([nameless])
    history.close("complete")
    assert [path.suffix for path in (tmp_path / "defects").iterdir()] == [suffix]


def test_another_model_begins_another_archive(model: Model, model_file: Path, tmp_path: Path) -> None:
    history = History(tmp_path, "cpu")
    other = Model.load(model_file, "cpu")
    other.sha256 = "0" * 64
    history.write([inspection(model, 0), inspection(other, 0)])
    history.close("complete")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2026-01-05T060000.000Z-2.andon",
        "2026-01-05T060000.000Z.andon",
    ]


def test_each_recipe_has_an_archive_of_its_own(model: Model, model_file: Path, tmp_path: Path) -> None:
    history = History(tmp_path, "cpu")
    reopened = Model.load(model_file, "cpu")  # as after it was closed to save memory
    for number in range(6):
        made = inspection(reopened if number > 3 else model, number)
        history.write([replace(made, verdict=replace(made.verdict, recipe=("bottle", "cap")[number % 2]))])
    assert len(history._archives) == 2
    history.close("complete")
    assert [sum(len(names) for names, _ in Archive(path)) for path in tmp_path.glob("*.andon")] == [3, 3]


def test_a_crash_leaves_what_was_coded(model: Model, tmp_path: Path) -> None:
    history = History(tmp_path, "cpu")
    history.write([inspection(model, 0)])
    writer = history._archives[None].writer
    assert isinstance(writer, ArchiveWriter)
    for i in range(300):
        writer.add(str(i), np.zeros(len(writer._steps), np.float32))
    # The process is gone: no end was written, and half of a chunk was.
    (part,) = tmp_path.glob(f"*{PART}")
    part.write_bytes(part.read_bytes() + b"\x40\x00\x00\x00half")
    assert [len(names) for names, _ in Archive(part)] == [256]
    history.close("failed")


def test_a_model_that_cannot_be_parted_keeps_frames_as_they_came(model_bytes: bytes, tmp_path: Path) -> None:
    history = History(tmp_path, "cpu")
    history.write([inspection(Model.from_bytes(model_bytes, "m", "cpu"), 0)])
    history.close("complete")
    assert [path.name for path in tmp_path.rglob("*.jpg")] == [f"{0:032d}.jpg"]
    assert list(tmp_path.glob("*.andon*")) == []
