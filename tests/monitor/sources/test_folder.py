"""Images of a folder in their order, with what a manifest says of them."""

import json
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
        ("[" * 100_000, "not a line of JSON: [[["),
        ('{"file": "%s"}' % ("x" * 5000), "does not exist"),
        ('{"file": "\\ud800.png"}', "file '\\ud800.png' does not exist"),
        ('{"file": "frames"}', "does not exist"),
        ('{"file": "frames/000000.png", "captured_at": "9999-12-31T23:59:59-23:00"}', "is not a time"),
        ('{"file": "frames/000000.png", "captured_at": "0001-01-01T00:00:00+23:00"}', "is not a time"),
        ('{"file": "frames/000000.png", "captured_at": 1e300}', "is not a time"),
        ('{"file": "frames/000000.png", "captured_at": [true]}', "captured_at [True] is not a time"),
        ('{"file": "frames/000000.png", "label": "%s' % ("x" * 2_000_000), "longer than 1048576 bytes"),
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


def test_what_is_no_image_is_passed_over_and_said(plain: Path, caplog: pytest.LogCaptureFixture) -> None:
    (plain / "d.png").symlink_to(plain / "gone.png")
    (plain / "._a.jpg").write_bytes(b"\0\5\26\7")
    os.mkfifo(plain / "e.png")
    source = open_source(str(plain))
    assert [frame.file for frame in read_source(source)] == ["a.jpg", "b.png", "inner/c.bmp"]
    assert source.passed_over is not None
    assert source.passed_over.startswith("4 passed over: ")
    for reason in ("1 hidden", "1 with other endings", "1 links that lead nowhere", "1 neither files nor folders"):
        assert reason in source.passed_over
    assert [record.message for record in caplog.records] == [f"{plain}: {source.passed_over}"]


def test_a_folder_of_hidden_files_has_no_images(tmp_path: Path) -> None:
    (tmp_path / "._1.png").write_bytes(b"\0\5\26\7")
    with pytest.raises(UsageError, match=r"no images in it \(1 passed over: 1 hidden \('\._1\.png'\)\); known formats"):
        open_source(str(tmp_path))


def test_a_pipe_is_no_source(tmp_path: Path) -> None:
    for name in ("a.png", "a.mcap", "a.mp4"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(UsageError, match="neither a file nor a folder"):
            open_source(str(tmp_path / name))


def test_an_image_that_becomes_a_pipe_does_not_block(plain: Path) -> None:
    source = open_source(str(plain))
    (plain / "b.png").unlink()
    os.mkfifo(plain / "b.png")
    with pytest.raises(SourceError, match="changed while it was read: 3 images at the start, 2 at the end"):
        read_source(source)


def test_a_file_that_cannot_be_read_is_a_verdict_and_the_others_are_inspected(plain: Path) -> None:
    (plain / "a1.png").symlink_to("/proc/self/mem")  # reading it is an error, for every user
    source = open_source(str(plain))
    frames = read_source(source)
    assert [frame.rejection and frame.rejection.reason for frame in frames] == [None, "undecodable", None, None]
    assert source.damage == f"{plain}: of its files 1 that cannot be read ('a1.png')"


def test_a_giant_file_is_not_read_into_memory(plain: Path) -> None:
    with (plain / "b.png").open("r+b") as file:
        file.truncate(2**40)  # sparse
    frames = read_source(open_source(str(plain)))
    assert [frame.rejection and frame.rejection.reason for frame in frames] == [None, "too_large", None]
    assert frames[1].data == b""


def test_a_folder_and_a_manifest_with_names_that_are_not_utf8_give_verdicts_that_are(tmp_path: Path) -> None:
    folder = write_recording(tmp_path / os.fsdecode(b"line-\xe9"), [(encode(draw(0)), "good")])
    with (folder / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"file": "frames/000000.png", "camera": "\\ud800", "label": "\\udcff"}\n')
        manifest.write('{"file": "frames/000000.png", "camera": "%s"}\n' % ("x" * 100_000))
    os.utime(folder / "frames/000000.png", (2**40, 2**40))  # a year beyond 9999
    frames = read_source(open_source(str(folder)))
    for frame in frames:
        json.dumps(
            [frame.camera, frame.label, frame.position.topic, frame.position.cluster], ensure_ascii=False
        ).encode()
        assert frame.rejection is None
    assert len(frames[2].camera) == 200
    assert frames[2].captured_at < 253_402_300_800


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
