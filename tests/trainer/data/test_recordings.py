"""Recordings, videos and folders of them as data sets: good by their labels, by their verdicts, or as the user says."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.common.times import rfc3339
from andon_monitor.errors import UsageError
from andon_monitor.formats.mcap_writer import RecordingWriter
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.part import Part
from andon_monitor.recording import labelled
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.frame_store import FrameStore
from andon_trainer.data.images import ImageCache, read_bytes
from andon_trainer.data.input import choose_input
from andon_trainer.data.near_duplicates import group_samples

from tests.fixtures.commands import call, refused
from tests.fixtures.small_model import draw, encode, make_frame

OUTCOMES = ["good", "good", "defect", "uninspectable", "good", "good"]


def record(path: Path, frames: Sequence[Frame], outcomes: Sequence[str] = (), at_end: bool = True) -> Path:
    """A recording of frames; the first of them have these verdicts, written behind all frames."""
    writer = RecordingWriter(path, {})
    for frame in frames:
        writer.write(frame)
    for frame, outcome in zip(frames, outcomes, strict=False):
        verdict = {
            "frame": frame.position.to_dict(),
            "captured_at": rfc3339(frame.captured_at),
            "verdict": outcome,
        }
        writer.write_verdict(json.dumps(verdict).encode(), frame.captured_at)
    writer.file.close()
    return path


def frames(count: int, **fields: object) -> list[Frame]:
    return [make_frame(encode(draw(i)), i, **fields) for i in range(count)]


def video(path: Path, count: int = 12) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for i in range(count):
        writer.write(cv2.cvtColor(draw(i), cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def test_verdicts_say_which_frames_are_good_and_the_others_are_counted(tmp_path: Path) -> None:
    given = frames(8)
    path = record(tmp_path / "line.mcap", given, OUTCOMES)
    dataset = open_dataset(path)
    assert [sample.path for sample in dataset.train] == [path / f"{i:06d}.png" for i in (0, 1, 4, 5)]
    assert dataset.test == ()
    assert [read_bytes(sample.path) for sample in dataset.train] == [given[i].data for i in (0, 1, 4, 5)]
    (note,) = dataset.notes
    assert f"{path}: 4 frames of good parts (4 by verdict); 4 passed over: " in note
    for reason in ("1 called a defect by the line", "1 uninspectable on the line", "2 without a label or verdict"):
        assert reason in note
    assert len(open_dataset(path, assume_good=True).train) == 6  # the defect and the uninspectable frame stay out


def test_labels_count_more_than_verdicts_and_defects_are_tested_with(tmp_path: Path) -> None:
    labelled = [*frames(4, label="good"), make_frame(encode(draw(9, defect=True)), 9, label="scratch")]
    dataset = open_dataset(record(tmp_path / "line.mcap", labelled, ["good", "defect", "good", "good", "good"]))
    assert len(dataset.train) == 4
    assert [sample.label for sample in dataset.test] == [*["good"] * 4, "scratch"]
    assert "4 frames of good parts (4 by label), 1 scratch" in dataset.notes[0]


def test_a_verdict_may_stand_in_the_next_file_and_an_earlier_topic_of_the_same_name_is_another(tmp_path: Path) -> None:
    given = frames(4)
    record(tmp_path / "a.mcap", given)
    other_night = [make_frame(encode(draw(50 + i)), i) for i in range(4)]
    other_night = [Frame(f.camera, f.captured_at + 86400, f.data, f.position) for f in other_night]
    record(tmp_path / "b.mcap", other_night, ["defect"] * 4)
    writer = RecordingWriter(tmp_path / "c.mcap", {})
    writer.write(make_frame(encode(draw(99)), 99))
    for frame in given:
        verdict = {"frame": frame.position.to_dict(), "captured_at": rfc3339(frame.captured_at), "verdict": "good"}
        writer.write_verdict(json.dumps(verdict).encode(), frame.captured_at)
    writer.write_verdict(b"no verdict", 0)
    writer.file.close()
    dataset = open_dataset([tmp_path / "a.mcap", str(tmp_path / "b.mcap"), tmp_path / "c.mcap"])
    assert [sample.path.parent.name for sample in dataset.train] == ["a.mcap"] * 4
    none, unknown, unreadable = dataset.notes[1:]
    assert "b.mcap: no frames to use (4 passed over: 4 called a defect" in none
    assert "c.mcap: neither labels nor verdicts say" in unknown
    assert unreadable == "1 recorded verdicts are not ones that andon-monitor writes"
    with pytest.raises(UsageError, match=r"b\.mcap: no frames to use"):
        open_dataset(tmp_path / "b.mcap")


@pytest.mark.parametrize(
    "make", [lambda path: record(path / "line.mcap", frames(12)), lambda path: video(path / "a.avi")]
)
def test_without_labels_or_verdicts_one_line_says_what_to_give(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    with pytest.raises(UsageError, match=r"neither labels nor verdicts .* its 12 frames .*give --assume-good"):
        open_dataset(path)
    assert "give --assume-good" in refused("fit", path, "-o", tmp_path / "part.onnx")
    dataset = open_dataset(path, assume_good=True)
    assert len(dataset.train) == 12
    assert "12 frames of good parts (12 by --assume-good)" in dataset.notes[0]
    assert ImageCache().header(dataset.train[3].path).width == 64


def test_nested_folders_of_recordings_are_read_and_folders_of_images_with_them(tmp_path: Path) -> None:
    record(tmp_path / "nights/monday/line-000001.mcap", frames(3, label="good"))
    record(tmp_path / "nights/tuesday/line-000001.mcap", frames(4, label="good"))
    for i in range(2):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / f"images/{i}.png").write_bytes(encode(draw(70 + i)))
    dataset = open_dataset([tmp_path / "nights", tmp_path / "images"])
    assert len(dataset.train) == 9
    assert dataset.root == tmp_path
    assert all(read_bytes(sample.path) for sample in dataset.train)


def test_repeated_and_damaged_frames_and_other_cameras_are_passed_over(tmp_path: Path) -> None:
    data = encode(draw(1))
    damaged = encode(draw(2), ".jpg")
    given = [
        make_frame(data, 0),
        make_frame(data, 1),
        make_frame(damaged[:-300], 2),
        make_frame(b"", 3),
        make_frame(encode(draw(3)), 4, camera="station-2"),
        make_frame(encode(draw(4)), 5),
    ]
    path = record(tmp_path / "line.mcap", given)
    dataset = open_dataset(path, assume_good=True)
    assert [sample.path.name for sample in dataset.train] == ["000000.png", "000004.png", "000005.png"]
    assert "1 the same file as the frame before" in dataset.notes[0]
    assert "2 damaged" in dataset.notes[0]
    assert dataset.notes[1] == f"{path}: frames of 2 cameras: station-1 (2), station-2 (1); --camera takes those of one"
    one = open_dataset(path, assume_good=True, cameras=["station-2"])
    assert [sample.path.name for sample in one.train] == ["000004.png"]
    assert "of other cameras ('station-1'" in one.notes[0]


def test_what_a_damaged_recording_still_has_is_read_and_the_damage_is_said(tmp_path: Path) -> None:
    path = record(tmp_path / "line.mcap", frames(150, label="good"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    dataset = open_dataset(path)
    assert 50 < len(dataset.train) < 150
    assert "its end is missing, as after a crash" in dataset.notes[1]


def test_frames_of_one_part_are_one_group(tmp_path: Path) -> None:
    given = [make_frame(encode(draw(i)), i, part=Part(id=f"{i // 3}")) for i in range(12)]
    dataset = open_dataset(record(tmp_path / "line.mcap", given), assume_good=True)
    pixels = np.stack([draw(i)[..., None] for i in range(12)])
    groups = group_samples(dataset.train, pixels).tolist()
    assert groups == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_of_many_frames_in_several_recordings_some_are_used_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FrameStore.__init__, "__defaults__", (20, 2**30))
    sources = []
    for name in "ab":
        given = [make_frame(encode(draw(i)), i, name) for i in range(30)]
        sources.append(record(tmp_path / f"{name}.mcap", given))
    dataset = open_dataset(sources, assume_good=True)
    assert len(dataset.train) == 15
    assert [sample.path.parent.name for sample in dataset.train] == ["a.mcap"] * 8 + ["b.mcap"] * 7
    assert dataset.notes[-1] == "every 4th of 60 good frames is used, 15 in all"
    assert ImageCache().frames(dataset.train, choose_input(dataset.train, 64)).shape == (15, 64, 64, 1)


def test_a_camera_has_no_end(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"camera:0: a live source has no end.*andon-monitor collect"):
        open_dataset("camera:0")
    assert "rtsp://h/1: a live source has no end" in refused("fit", "rtsp://user:secret@h/1", "-o", tmp_path / "a.onnx")


def test_a_manifest_names_labels_and_parts_and_its_subfolders_are_batches(tmp_path: Path) -> None:
    lines = []
    for i in range(6):
        name = f"batch-{i % 2}/{i}.png"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encode(draw(i)))
        lines.append({"file": name, "part": {"id": str(i // 2)}})
    lines.append({"file": "batch-0/deleted.png"})
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    dataset = open_dataset(tmp_path)
    assert [(s.path.name, s.part) for s in sorted(dataset.train, key=lambda s: s.path.name)] == [
        (f"{i}.png", f"/{i // 2}") for i in range(6)
    ]
    assert dataset.notes == ()
    lines[0]["label"], lines[1]["label"] = "good", "scratch"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    dataset = open_dataset(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (1, 2)
    assert "4 without a label" in dataset.notes[0]
    manifest.write_text('{"file": 7}\n')
    with pytest.raises(UsageError, match=r"manifest\.jsonl line 1: has no file"):
        open_dataset(tmp_path)


def test_fit_evaluate_and_calibrate_read_a_recording(tmp_path: Path) -> None:
    labelled = [*frames(24, label="good"), make_frame(encode(draw(9, defect=True)), 90, label="scratch")]
    path = record(tmp_path / "line.mcap", labelled)
    model = tmp_path / "part.onnx"
    quick = ("--architecture", "dense", "--layers", "784-16-784", "--iterations", "4", "--threads", "1")
    done = call("fit", path, "-o", model, *quick)
    assert done.exception is None, done.output
    assert "1 scratch" in done.output
    done = call("calibrate", model, path, "-o", tmp_path / "again.onnx")
    assert "was fitted on 24 of these 24 images" in str(done.exception)
    others = record(tmp_path / "other.mcap", [make_frame(encode(draw(200 + i)), i, label="good") for i in range(24)])
    done = call("calibrate", model, others, "-o", tmp_path / "again.onnx")
    assert done.exception is None, done.output
    done = call("evaluate", model, path, others, "--json", tmp_path / "figures.json", "--provider", "cpu")
    assert done.exception is None, done.output
    assert "24 good images are left out" in " ".join(done.output.split())
    figures = json.loads((tmp_path / "figures.json").read_text())
    expected = [path / "000024.png", *(others / f"{i:06}.png" for i in range(24))]
    assert sorted(image["path"] for image in figures["images"]) == sorted(map(str, expected))


def test_a_topic_whose_brokers_do_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "GIVE_UP_SECONDS", 0.0)
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:1: no broker there"):
        open_dataset("kafka://127.0.0.1:1/andon.frames")


def test_a_file_of_labels_counts_more_than_verdicts_and_recorded_labels(tmp_path: Path) -> None:
    path = record(tmp_path / "night.mcap", frames(6), OUTCOMES)
    labels = tmp_path / "labels.jsonl"
    places = [frame.position.to_dict() for frame in frames(6)]
    given = [(places[0], "scratch"), (places[2], "good")]
    labels.write_text("".join(json.dumps({"frame": place, "label": label}) + "\n" for place, label in given))
    dataset = open_dataset(path, labels=labels)
    assert [sample.path.stem for sample in dataset.train] == ["000001", "000002", "000004", "000005"]
    assert [sample.label for sample in dataset.test if sample.label != "good"] == ["scratch"]
    labels.write_text("{}\n")
    with pytest.raises(UsageError, match=r"labels\.jsonl line 1: expected"):
        open_dataset(path, labels=labels)


def test_one_long_recording_is_divided_into_blocks_of_time(tmp_path: Path) -> None:
    short = open_dataset(record(tmp_path / "short.mcap", frames(20)), assume_good=True)
    assert len({sample.batch for sample in short.train}) == 1
    dataset = open_dataset(record(tmp_path / "night.mcap", frames(120)), assume_good=True)
    batches = [sample.batch or "" for sample in dataset.train]
    assert len(set(batches)) == 10
    assert [batches.index(batch) for batch in dict.fromkeys(batches)] == list(range(0, 120, 12))
