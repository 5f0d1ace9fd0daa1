"""`andon-monitor collect` as a user runs it: from each kind of source, again, stopped, short of disk."""

import json
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.collect.image_folder import ImageFolder
from andon_monitor.formats.mcap_writer import RecordingWriter
from andon_monitor.sources.uri import open_source
from andon_trainer.data.dataset import open_dataset

from tests.fixtures.commands import PATIENCE, andon, error_of
from tests.fixtures.network_camera import SHOWN, MotionJpeg, ReusableServer
from tests.fixtures.preloaded import Process
from tests.fixtures.small_model import encode
from tests.fixtures.sources import read_source
from tests.fixtures.station import encoded, film, station

PARTS = 6


def lines_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def images_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film of a station as a recording, with the identity of each part, as JPEG."""
    path = tmp_path_factory.mktemp("film") / "line.mcap"
    writer = RecordingWriter(path, {})
    for _, frame in film(PARTS, with_ids=True, suffix=".jpg"):
        writer.write(frame)
    writer.file.close()
    return path


def test_from_a_recording_come_its_own_bytes_and_a_manifest(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "images"
    done = andon("collect", "--source", recording, "-o", out, "--empty", "first", "--batch", "monday")
    assert done.returncode == 0, done.stderr
    assert f" images of {PARTS} parts, " in done.stderr
    assert " near-duplicate" in done.stderr
    assert "the source has ended" in done.stderr
    recorded = {frame.data: frame for frame in read_source(open_source(str(recording)), 300)}
    lines = lines_of(out)
    assert [line["file"] for line in lines] == images_of(out)
    assert PARTS <= len(lines) <= PARTS + 2
    for line in lines:
        frame = recorded[(out / str(line["file"])).read_bytes()]
        assert str(line["file"]).startswith("monday/0000")
        assert (line["camera"], line["source"]) == ("station-1", str(recording))
        assert line.get("part") == (None if frame.part is None else frame.part.to_dict())
    assert {str(sample.part) for sample in open_dataset(out).train} >= {f"/serial-{i}" for i in range(PARTS)}
    assert len(read_source(open_source(str(out)), 300)) == len(lines)  # the monitor reads it, too

    again = andon("collect", "--source", recording, "-o", out, "--empty", "first", "--batch", "tuesday")
    assert again.returncode == 0, again.stderr
    assert lines_of(out) == lines  # all of it was there


def test_it_goes_on_where_it_stopped_and_mends_what_a_crash_and_a_person_left(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "images"
    done = andon("collect", "--source", recording, "-o", out, "--empty", "first", "--count", "3")
    assert done.returncode == 0, done.stderr
    assert "--count 3 images are there" in done.stderr
    assert images_of(out) == ["000001.jpg", "000002.jpg", "000003.jpg"]
    (out / "000002.jpg").unlink()
    (out / "000009.jpg.0123abcd.part").write_bytes(b"half")
    (out / "mine.jpg").write_bytes((out / "000001.jpg").read_bytes())
    with (out / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"file": "000004.jp')
    done = andon("collect", "--source", recording, "-o", out, "--empty", "first")
    assert done.returncode == 0, done.stderr
    assert sorted(str(line["file"]) for line in lines_of(out)) == images_of(out)
    assert "000002.jpg" not in images_of(out)
    assert "mine.jpg" in images_of(out)
    assert not list(out.glob("*.part"))
    assert len(images_of(out)) >= PARTS - 1


def test_two_do_not_write_into_one_folder(recording: Path, tmp_path: Path) -> None:
    folder = ImageFolder(tmp_path / "images")
    done = andon("collect", "--source", recording, "-o", tmp_path / "images", "--batch", "monday")
    folder.close()
    assert done.returncode == 2
    assert "another collect writes into this folder" in error_of(done)


def test_a_signal_leaves_a_usable_folder(tmp_path: Path) -> None:
    source, out = tmp_path / "frames", tmp_path / "images"
    source.mkdir()
    for i in range(400):
        (source / f"{i:04d}.png").write_bytes(encoded(station(i)))
    with (tmp_path / "log").open("w") as log:
        arguments = ["collect", "--source", str(source), "-o", str(out), "--count", "10000"]
        process = Process("andon_monitor", arguments, log, log)
        while not (out / "000003.png").exists():
            assert process.poll() is None, (tmp_path / "log").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    assert [line["file"] for line in lines_of(out)] == images_of(out)
    assert not list(out.glob("*.part"))


def test_from_a_video_come_png_files(tmp_path: Path) -> None:
    path = tmp_path / "belt.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (128, 96))
    for i in range(40):
        grey = station(i // 10).clip(0, 255).astype(np.uint8)
        writer.write(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    writer.release()
    out = tmp_path / "images"
    done = andon("collect", "--source", path, "-o", out, "--camera", "station-7")
    assert done.returncode == 0, done.stderr
    assert images_of(out) == [f"00000{i}.png" for i in range(1, 5)]
    assert {line["camera"] for line in lines_of(out)} == {"station-7"}


def test_a_camera_that_hangs_up_is_opened_again_and_its_password_is_in_no_file(tmp_path: Path) -> None:
    server = ReusableServer(("127.0.0.1", 0), MotionJpeg)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    out = tmp_path / "images"
    uri = f"http://user:secret@127.0.0.1:{server.server_address[1]}/"
    try:
        done = andon("collect", "--source", uri, "-o", out, "--camera", "cell-1", "--duration", "6s")
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "--duration is over" in done.stderr
    assert len(images_of(out)) == SHOWN  # shown again and again
    assert " near-duplicate" in done.stderr
    assert "secret" not in done.stderr + (out / "manifest.jsonl").read_text()


def test_a_damaged_recording_gives_what_it_has_and_exit_code_1(recording: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "line.mcap"
    content = recording.read_bytes()
    damaged.write_bytes(content[: len(content) - 20_000])
    done = andon("collect", "--source", damaged, "-o", tmp_path / "images", "--keep", "moving")
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "its end is missing" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep", "ugly"], "--keep: 'ugly' should be dark, empty, moving, blurred or near-duplicate"),
        (["--batch", "../other"], "--batch: '../other' should be the name of a folder"),
        (["--empty", "nowhere.png"], "--empty: nowhere.png: cannot be read (No such file or directory); right is"),
        (["--size", "much"], "--size: 'much' is not a size"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    recording: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    done = andon("collect", "--source", recording, "-o", tmp_path / "images", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert message in error_of(done)
    assert not (tmp_path / "images").exists()


def test_it_stops_before_the_disk_is_full_and_at_a_size(recording: Path, tmp_path: Path) -> None:
    full = andon("collect", "--source", recording, "-o", tmp_path / "full", "--keep-free", "900TB")
    assert full.returncode == 1
    assert "less than --keep-free 900 TB; stopped, 0 images are there" in full.stderr
    assert not (tmp_path / "full/manifest.jsonl").exists()
    small = andon("collect", "--source", recording, "-o", tmp_path / "small", "--size", "5kB")
    assert small.returncode == 0, small.stderr
    assert "--size 5 kB is reached" in small.stderr


def test_where_parts_never_stand_still_it_says_what_to_give(tmp_path: Path) -> None:
    source = tmp_path / "frames"
    source.mkdir()
    lines = []
    for i in range(60):  # a belt: two frames of the empty belt, then two of a part that runs through
        image = station() if i % 4 < 2 else station(i // 4, hand=0.3 * (i % 4) - 0.4)
        (source / f"{i:02d}.png").write_bytes(encode(image.clip(0, 255).astype(np.uint8)))
        lines.append(json.dumps({"file": f"{i:02d}.png", "captured_at": f"2026-01-05T06:00:{i // 10:02d}.{i % 10}00Z"}))
    (source / "manifest.jsonl").write_text("\n".join(lines))
    done = andon("collect", "--source", source, "-o", tmp_path / "images", "--empty", "first")
    assert done.returncode == 1
    assert (
        "no image was kept of 60 frames (30 empty, 30 moving); where parts never stand still, give --keep moving"
        in (done.stderr)
    )
