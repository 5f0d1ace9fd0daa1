"""Images of a folder in their order, with what a manifest says of them."""

import os
import shutil
from pathlib import Path

import pytest
from andon_monitor.errors import SourceError, UsageError
from andon_monitor.sources.uri import open_source

from tests.fixtures.small_model import START, draw, encode, write_recording
from tests.fixtures.sources import read_source


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
    frames = read_source(open_source(str(plain)))
    assert [frame.file for frame in frames] == ["a.jpg", "b.png", "inner/c.bmp"]
    assert {frame.camera for frame in frames} == {"press-7"}
    assert [frame.captured_at for frame in frames] == [1001.123, 1000.123, 1002.123]
    assert [frame.position.offset for frame in frames] == [0, 1, 2]
    assert [frame.label for frame in frames] == [None, None, None]
    assert frames[0].data == (plain / "a.jpg").read_bytes()


def test_the_camera_can_be_named(plain: Path) -> None:
    assert {frame.camera for frame in read_source(open_source(str(plain), "station-9"))} == {"station-9"}


def test_folders_beside_good_are_labels(tmp_path: Path) -> None:
    for name in ("good", "scratch"):
        (tmp_path / "test" / name).mkdir(parents=True)
        (tmp_path / "test" / name / "0.png").write_bytes(encode(draw(0)))
    assert [frame.label for frame in read_source(open_source(str(tmp_path / "test")))] == ["good", "scratch"]


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
    frames = read_source(source)
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
    positions = [read_source(open_source(str(folder)))[0].position for folder in (one, tmp_path / "b" / "line", other)]
    assert positions[0] == positions[1]
    assert positions[0].cluster != positions[2].cluster


@pytest.mark.parametrize("gone", ["b.png", "inner/c.bmp"])
def test_a_folder_that_changes_while_it_is_read_is_not_passed_over(plain: Path, gone: str) -> None:
    source = open_source(str(plain))
    assert source.poll(1, 0)
    (plain / gone).unlink()
    with pytest.raises(SourceError, match=r"cannot be read|changed while it was read: 3 images at the start, 2"):
        read_source(source)


def test_a_dangling_link_is_named(plain: Path) -> None:
    (plain / "d.png").symlink_to(plain / "gone.png")
    with pytest.raises(SourceError, match=r"d\.png: cannot be read \(No such file or directory\)"):
        open_source(str(plain))


def test_polling_with_no_capacity_gives_no_frame_and_loses_none(plain: Path) -> None:
    source = open_source(str(plain))
    assert [source.poll(0, 0) for _ in range(5)] == [[]] * 5
    assert len(read_source(source)) == 3


def test_one_image_is_a_recording_of_one_frame(plain: Path) -> None:
    (frame,) = read_source(open_source(str(plain / "b.png")))
    assert (frame.file, frame.camera) == ("b.png", "press-7")


def test_a_name_that_is_not_utf8_becomes_one_that_is(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(encode(draw(0)))
    (frame,) = read_source(open_source(str(tmp_path)))
    assert frame.file is not None
    frame.file.encode()


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
