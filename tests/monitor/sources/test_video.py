"""Every frame of a video, unchanged, with the time at which it is shown."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import decode
from andon_monitor.sources.uri import open_source

from tests.fixtures.commands import andon
from tests.fixtures.small_model import draw
from tests.fixtures.sources import read_source


def test_a_video_gives_its_frames_without_loss_and_with_their_times(tmp_path: Path) -> None:
    path = tmp_path / "belt.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for i in range(5):
        writer.write(cv2.cvtColor(draw(i), cv2.COLOR_GRAY2BGR))
    writer.release()
    os.utime(path, (1000, 1000))
    source = open_source(str(path))
    assert source.length == 5
    frames = read_source(source)
    assert [round(frame.captured_at - 1000, 2) for frame in frames] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [frame.position.offset for frame in frames] == [0, 1, 2, 3, 4]
    assert {frame.camera for frame in frames} == {"belt"}
    capture = cv2.VideoCapture(str(path))
    for frame in frames:
        assert np.array_equal(decode(frame.data, 3)[:, :, ::-1], capture.read()[1])


COUNT = 60


def record(path: Path, code: str, rate: int = 10) -> bytes:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), rate, (64, 64))
    for i in range(COUNT):
        writer.write(cv2.cvtColor(draw(i % 24), cv2.COLOR_GRAY2BGR))
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "code"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("b.mkv", "MJPG"), ("a.webm", "VP80")]
)
def test_damage_is_said_and_what_lies_behind_it_is_read(tmp_path: Path, name: str, code: str) -> None:
    path = tmp_path / name
    content = record(path, code)
    source = open_source(str(path))
    assert len(read_source(source)) == COUNT
    assert source.damage is None
    third, half = len(content) // 3, len(content) // 2
    path.write_bytes(content[:third] + bytes(half - third) + content[half:])
    source = open_source(str(path))
    frames = read_source(source)
    assert COUNT / 2 < len(frames) < COUNT
    assert frames[-1].captured_at - frames[0].captured_at > (4 if name == "a.avi" else 5)
    lost = COUNT - len(frames)
    assert source.damage == (
        f"{path}: damaged or cut short: {lost} frames cannot be read; {len(frames)} frames recovered"
    )


@pytest.mark.parametrize(("name", "code"), [("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.webm", "VP80")])
def test_a_video_that_was_cut_short_is_read_to_its_end(tmp_path: Path, name: str, code: str) -> None:
    path = tmp_path / name
    content = record(path, code)
    path.write_bytes(content[: len(content) // 2])
    source = open_source(str(path))
    frames = read_source(source)
    assert 20 < len(frames) < 40
    assert source.damage is not None
    assert f"{COUNT - len(frames)} frames cannot be read" in source.damage


def test_a_video_whose_index_is_cut_off_is_refused(tmp_path: Path) -> None:
    content = record(tmp_path / "a.mp4", "mp4v")
    (tmp_path / "a.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match="not a video that OpenCV can read, or cut short"):
        open_source(str(tmp_path / "a.mp4"))


def test_what_stands_behind_or_next_to_a_video_is_said(tmp_path: Path) -> None:
    """OpenCV reads the first of two videos in a row, the first of two tracks, and stops in the middle of a fragment."""
    content = record(tmp_path / "a.mp4", "mp4v")
    track = content[content.index(b"trak") - 4 :]
    track = track[: int.from_bytes(track[:4])]
    moov = content.index(b"moov") - 4
    length = int.from_bytes(content[moov : moov + 4])
    doubled = (length + len(track)).to_bytes(4) + content[moov + 4 : moov + length] + track + content[moov + length :]
    for added, said in (
        (content + content, "2 videos in one file; the first one is read"),
        (content[:moov] + doubled, "2 tracks with pictures; one is read"),
        (content + (1000).to_bytes(4) + b"moof" + bytes(92), "cut short: 900 bytes are missing"),
    ):
        (tmp_path / "a.mp4").write_bytes(added)
        source = open_source(str(tmp_path / "a.mp4"))
        assert len(read_source(source)) == COUNT
        assert source.damage == f"{tmp_path}/a.mp4: {said}; {COUNT} frames recovered"


def test_frames_of_a_container_without_times_follow_its_rate(tmp_path: Path) -> None:
    record(tmp_path / "a.mpg", "PIM1", rate=25)
    frames = read_source(open_source(str(tmp_path / "a.mpg")))
    assert len(frames) == COUNT
    assert len({frame.captured_at for frame in frames}) == COUNT


def test_damage_of_a_video_is_in_the_exit_code(model_path: Path, tmp_path: Path) -> None:
    content = record(tmp_path / "a.avi", "MJPG")
    (tmp_path / "a.avi").write_bytes(content[: len(content) // 2])
    done = andon("run", "--no-server", "--model", model_path, "--source", tmp_path / "a.avi")
    assert done.returncode == 1
    assert 20 < len(done.stdout.splitlines()) < 40
    assert "damaged or cut short" in done.stderr.splitlines()[-1]
