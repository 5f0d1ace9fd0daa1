import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.common.redaction import hide_password
from andon_monitor.errors import SourceError, UsageError
from andon_monitor.inspection.frames import Frame
from andon_monitor.model.imaging import decode
from andon_monitor.sources import pacing as pacing_module
from andon_monitor.sources.base import Source
from andon_monitor.sources.pacing import PacedSource
from andon_monitor.sources.uri import open_source

from tests.fixtures.small_model import START, draw, encode, write_recording


def read(source: Source, capacity: int = 3) -> list[Frame]:
    """Every frame, polled and acknowledged as the pipeline does it."""
    frames: list[Frame] = []
    while (some := source.poll(capacity, 0.1)) is not None:
        assert len(some) <= capacity
        source.acknowledge(some)
        frames += some
    source.close()
    return frames


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    folder = tmp_path / "press-7"
    for i, name in enumerate(["b.png", "a.jpg", "inner/c.bmp", "notes.txt"]):
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(encode(draw(i), path.suffix) if path.suffix != ".txt" else b"not a picture")
        os.utime(path, ns=(0, (1000 + i) * 10**9 + 123_456_789))
    return folder


def test_a_plain_folder_is_read_sorted_and_recursive(plain: Path) -> None:
    frames = read(open_source(str(plain)))
    assert [frame.file for frame in frames] == ["a.jpg", "b.png", "inner/c.bmp"]
    assert {frame.camera for frame in frames} == {"press-7"}
    assert [frame.captured_at for frame in frames] == [1001.123, 1000.123, 1002.123]
    assert [frame.position.offset for frame in frames] == [0, 1, 2]
    assert [frame.label for frame in frames] == [None, None, None]
    assert frames[0].data == (plain / "a.jpg").read_bytes()


def test_the_camera_can_be_named(plain: Path) -> None:
    assert {frame.camera for frame in read(open_source(str(plain), "station-9"))} == {"station-9"}


def test_folders_beside_good_are_labels(tmp_path: Path) -> None:
    for name in ("good", "scratch"):
        (tmp_path / "test" / name).mkdir(parents=True)
        (tmp_path / "test" / name / "0.png").write_bytes(encode(draw(0)))
    assert [frame.label for frame in read(open_source(str(tmp_path / "test")))] == ["good", "scratch"]


def test_a_manifest_gives_order_camera_time_and_label(tmp_path: Path) -> None:
    folder = write_recording(
        tmp_path / "line", [(encode(draw(i)), label) for i, label in enumerate(["good", "dent"])], ("one", "two")
    )
    with (folder / "manifest.jsonl").open("a") as manifest:
        manifest.write('\n{"file": "frames/000000.png"}\n')  # only the file must be there, and a blank line is none
    os.utime(folder / "frames/000000.png", (5000, 5000))
    source = open_source(str(folder))
    assert source.length == 3
    assert not source.live
    frames = read(source)
    assert [(frame.camera, frame.captured_at, frame.label) for frame in frames] == [
        ("one", START, "good"),
        ("two", START + 0.5, "dent"),
        ("line", 5000.0, None),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not a line of JSON: {"),
        ("[]", "has no file"),
        ('{"camera": "x"}', "has no file"),
        ('{"file": 3}', "has no file"),
        ('{"file": "../secret.png"}', "file '../secret.png' is outside of the folder"),
        ('{"file": "/etc/hostname"}', "file '/etc/hostname' is outside of the folder"),
        ('{"file": "gone.png"}', "file 'gone.png' does not exist"),
        ('{"file": "frames/000000.png", "captured_at": "noon"}', "captured_at 'noon' is not a time; right is 2026"),
        ('{"file": "frames/000000.png", "captured_at": 17}', "captured_at 17 is not a time"),
        ('{"file": "frames/000000.png", "camera": ""}', "camera '' is not a name"),
        ('{"file": "frames/000000.png", "label": 1}', "label 1 is not a name"),
    ],
)
def test_a_wrong_line_of_a_manifest_is_named(tmp_path: Path, line: str, message: str) -> None:
    folder = write_recording(tmp_path / "line", [(encode(draw(0)), "good")])
    with (folder / "manifest.jsonl").open("a") as manifest:
        manifest.write(line + "\n")
    with pytest.raises(UsageError) as caught:
        open_source(str(folder))
    assert str(caught.value).startswith(f"{folder}/manifest.jsonl line 2: ")
    assert message in str(caught.value)


def test_a_recording_is_recognised_wherever_it_lies_and_told_from_another(tmp_path: Path) -> None:
    one = write_recording(tmp_path / "a" / "line", [(encode(draw(0)), "good")])
    shutil.copytree(one, tmp_path / "b" / "line")
    other = write_recording(tmp_path / "c" / "line", [(encode(draw(0)), "dent")])
    positions = [read(open_source(str(folder)))[0].position for folder in (one, tmp_path / "b" / "line", other)]
    assert positions[0] == positions[1]
    assert positions[0].cluster != positions[2].cluster


@pytest.mark.parametrize("gone", ["b.png", "inner/c.bmp"])
def test_a_folder_that_changes_while_it_is_read_is_not_passed_over(plain: Path, gone: str) -> None:
    source = open_source(str(plain))
    assert source.poll(1, 0)
    (plain / gone).unlink()
    with pytest.raises(SourceError, match=r"cannot be read|changed while it was read: 3 images at the start, 2"):
        read(source)


def test_a_dangling_link_is_named(plain: Path) -> None:
    (plain / "d.png").symlink_to(plain / "gone.png")
    with pytest.raises(SourceError, match=r"d\.png: cannot be read \(No such file or directory\)"):
        open_source(str(plain))


def test_polling_with_no_capacity_gives_no_frame_and_loses_none(plain: Path) -> None:
    source = open_source(str(plain))
    assert [source.poll(0, 0) for _ in range(5)] == [[]] * 5
    assert len(read(source)) == 3


def test_one_image_is_a_recording_of_one_frame(plain: Path) -> None:
    (frame,) = read(open_source(str(plain / "b.png")))
    assert (frame.file, frame.camera) == ("b.png", "press-7")


def test_a_name_that_is_not_utf8_becomes_one_that_is(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(encode(draw(0)))
    (frame,) = read(open_source(str(tmp_path)))
    assert frame.file is not None
    frame.file.encode()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("no/such/folder", "no/such/folder: no such folder or file"),
        ("ftp://host/x", "unknown kind of source ftp://"),
        ("kafka://broker:9092/andon.frames", "a topic is not a source of this command"),
        ("night.mcap", "night.mcap: no such folder or file"),
        ("camera:front", "not a number of a camera; right is camera:0"),
        ("camera:77", "camera:77: no camera answers at this address"),
        ("rtsp://user:secret@127.0.0.1:1/x", r"rtsp://user:\*\*\*@127.0.0.1:1/x: no camera answers at this address"),
    ],
)
def test_a_source_that_cannot_be_opened_is_one_clear_line(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        open_source(uri)
    assert "secret" not in str(caught.value)


def test_an_empty_folder_and_an_unknown_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no images in it; known formats: jpg"):
        open_source(str(tmp_path))
    (tmp_path / "manifest.jsonl").write_text("")
    with pytest.raises(UsageError, match="no images in it"):
        open_source(str(tmp_path))
    with pytest.raises(UsageError, match="not a file that can be read; known formats: mcap, jpg"):
        open_source(str(tmp_path / "manifest.jsonl"))
    (tmp_path / "broken.mp4").write_text("no video")
    with pytest.raises(UsageError, match="not a video that OpenCV can read"):
        open_source(str(tmp_path / "broken.mp4"))


def test_a_video_gives_its_frames_without_loss_and_with_their_times(tmp_path: Path) -> None:
    path = tmp_path / "belt.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for i in range(5):
        writer.write(cv2.cvtColor(draw(i), cv2.COLOR_GRAY2BGR))
    writer.release()
    os.utime(path, (1000, 1000))
    source = open_source(str(path))
    assert source.length == 5
    frames = read(source)
    assert [round(frame.captured_at - 1000, 2) for frame in frames] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [frame.position.offset for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.camera for frame in frames} == {"belt"}
    capture = cv2.VideoCapture(str(path))
    for frame in frames:
        assert np.array_equal(decode(frame.data, 3)[:, :, ::-1], capture.read()[1])


def test_a_paced_recording_keeps_its_tempo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(pacing_module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(pacing_module.time, "sleep", sleep)
    folder = write_recording(tmp_path / "line", [(encode(draw(i)), "good") for i in range(4)])
    source = PacedSource(open_source(str(folder)))
    times = []
    while (frames := source.poll(8, 0.2)) is not None:
        times += [round(clock[0] - 100, 3) for _ in frames]
    assert times == [0.0, 0.5, 1.0, 1.5]
    assert max(slept) <= 0.2  # never longer than it was allowed, so that a signal is heard


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://u:p@h/x", "rtsp://u:***@h/x"),
        ("rtsp://h/x", "rtsp://h/x"),
        ("a/folder", "a/folder"),
        ("kafka://u:p@a:1,b:2/t", "kafka://u:***@a:1,b:2/t"),
    ],
)
def test_passwords_are_not_shown(uri: str, shown: str) -> None:
    assert hide_password(uri) == shown


def test_the_manifest_is_followed_not_held(tmp_path: Path) -> None:
    """The listing is a generator: a line added behind the one being read turns up, so nothing was loaded."""
    folder = write_recording(tmp_path / "line", [(encode(draw(0)), "good")] * 2)
    source = open_source(str(folder))
    with (folder / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"file": "frames/000000.png", "label": "late"}\n')
    frames = source.poll(8, 0)
    assert frames is not None
    assert [frame.label for frame in frames] == ["good", "good", "late"]
    with pytest.raises(SourceError, match="changed while it was read: 2 images at the start, 3 at the end"):
        source.poll(8, 0)
