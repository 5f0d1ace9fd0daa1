"""Recordings of other programs: every image is a frame or is said to be missing; nothing in one ends a run."""

import base64
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.formats.mcap_layout import FRAMES, IMAGE
from andon_monitor.inspection.frames import Frame
from andon_monitor.sources.uri import open_source
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from mcap.writer import CompressionType, Writer

from tests.fixtures.commands import andon
from tests.fixtures.mcap_recordings import IMAGES, read

START_NS = 1_767_592_800 * 10**9
FACTS = {"camera": "c", "captured_at": 1.5, "cluster": "k", "topic": "t", "partition": 0, "offset": 7, "headers": []}


def write(path: Path, fill: Callable[[Writer], None], **options: Any) -> Path:
    with path.open("wb") as file:
        writer = Writer(file, **options)
        writer.start()
        fill(writer)
        writer.finish()
    return path


def in_json(data: bytes, **facts: Any) -> bytes:
    return json.dumps({"data": base64.b64encode(data).decode(), "format": "png"} | facts).encode()


def three_cameras(writer: Writer) -> None:
    protobuf = writer.register_channel("/cam1", "protobuf", writer.register_schema(IMAGE, "protobuf", b""))
    as_json = writer.register_channel("/cam2", "json", writer.register_schema(IMAGE, "jsonschema", b"{}"))
    raw = writer.register_channel("/cam3", "protobuf", writer.register_schema("foxglove.RawImage", "protobuf", b""))
    ros = writer.register_channel(
        "/cam4", "cdr", writer.register_schema("sensor_msgs/msg/CompressedImage", "ros2msg", b"")
    )
    other = writer.register_channel("/imu", "json", 0)
    for i in range(5):
        at = START_NS + i * 10**9
        writer.add_message(protobuf, at, CompressedImage(data=IMAGES[i]).SerializeToString(), at, i)
        writer.add_message(as_json, at, in_json(IMAGES[i]), at, i)
        for channel in (raw, ros, other):
            writer.add_message(channel, at, b"", at, i)


def test_images_in_json_are_frames_and_what_is_not_read_is_said(
    model_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "line.mcap", three_cameras)
    frames, source = read(path)
    assert [(f.camera, f.captured_at, f.data) for f in frames[:4]] == [
        (camera, START_NS / 10**9 + i, IMAGES[i]) for i in range(2) for camera in ("cam1", "cam2")
    ]
    assert len(frames) == source.length == 10
    assert source.damage == (
        f"{path}: images that are not read: 5 messages of /cam3 (foxglove.RawImage in protobuf), "
        "5 messages of /cam4 (sensor_msgs/msg/CompressedImage in cdr); 10 frames read"
    )
    assert source.passed_over == "not read: 5 messages of /imu (no schema in json)"
    assert source.passed_over in caplog.text
    done = andon("run", "--no-server", "--model", model_path, "--source", path, "--summary", tmp_path / "s.json")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 10
    assert done.stderr.splitlines()[-1] == f"error: {source.damage}"
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["damage"], summary["passed_over"]) == (source.damage, source.passed_over)


@pytest.mark.parametrize("stamp", ["2026-01-05T06:00:00Z", {"sec": 1_767_592_800, "nsec": 0}, 1_767_592_800, None])
def test_times_in_json_come_as_programs_write_them(tmp_path: Path, stamp: object) -> None:
    def fill(writer: Writer) -> None:
        channel = writer.register_channel("/cam", "json", writer.register_schema(IMAGE, "jsonschema", b"{}"))
        writer.add_message(channel, START_NS, in_json(IMAGES[0], timestamp=stamp), START_NS)

    (frame,) = read(write(tmp_path / "line.mcap", fill))[0]
    assert frame.captured_at == 1_767_592_800
    assert frame.rejection is None


ODD: list[Any] = [
    None,
    True,
    -1,
    10**400,
    math.nan,
    1e300,
    "",
    "10000-01-01T00:00:00Z",
    "\ud800",
    [],
    {},
    [[]],
    [["a", "!"]],
    2**63,
]


def odd_facts() -> list[tuple[dict[str, Any], bytes]]:
    image = CompressedImage(data=IMAGES[0]).SerializeToString()
    changed = [(FACTS | {key: value}, image) for key in [*FACTS, "key", "label", "file"] for value in ODD]
    missing = [({key: value for key, value in FACTS.items() if key != left_out}, image) for left_out in FACTS]
    return [*changed, *missing, (FACTS, b"\xff" * 20), (FACTS | {"camera": "x" * 1_000_000}, image)]


def read_facts(path: Path, facts: list[tuple[Any, bytes]]) -> tuple[list[Frame], str | None]:
    def fill(writer: Writer) -> None:
        about = writer.register_channel(FRAMES, "json", 0)
        images = writer.register_channel("/cameras/c", "protobuf", writer.register_schema(IMAGE, "protobuf", b""))
        for i, (fields, image) in enumerate(facts):
            writer.add_message(about, i, fields if isinstance(fields, bytes) else json.dumps(fields).encode(), i, i)
            writer.add_message(images, i, image, i, i)

    frames, source = read(write(path, fill))
    return frames, source.damage


def test_odd_facts_give_verdicts_and_none_ends_a_run(model_path: Path, tmp_path: Path) -> None:
    path, facts = tmp_path / "odd.mcap", odd_facts()
    frames, damage = read_facts(path, [*facts, (b"[" * 100_000, b""), (b"\xff", b""), (b"null", b"")])
    assert len(frames) == len(facts) + 3
    assert damage is not None
    wrong = [frame for frame in frames if frame.rejection is not None]
    assert len(wrong) > len(facts) / 2
    assert f"{len(wrong)} messages are not what they should be" in damage
    done = andon("run", "--no-server", "--model", model_path, "--source", path)
    assert done.returncode == 1
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == len(frames)
    assert sum(verdict.get("reason") == "malformed" for verdict in verdicts) == len(wrong)
    assert max(len(verdict["camera"]) for verdict in verdicts) <= 200
    assert "Traceback" not in done.stderr


def test_facts_that_are_right_are_kept(tmp_path: Path) -> None:
    image = CompressedImage(data=IMAGES[0]).SerializeToString()
    frames, damage = read_facts(
        tmp_path / "line.mcap", [(FACTS, image), (FACTS | {"captured_at": "1970-01-01"}, image)]
    )
    assert damage is None
    assert [(f.camera, f.captured_at, f.position.offset) for f in frames] == [("c", 1.5, 7), ("c", 0.0, 7)]


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.LZ4])
def test_a_chunk_that_grows_too_large_is_damage_and_the_rest_is_read(
    tmp_path: Path, compression: CompressionType
) -> None:
    def fill(writer: Writer) -> None:
        channel = writer.register_channel("/cam", "protobuf", writer.register_schema(IMAGE, "protobuf", b""))
        other = writer.register_channel("/zeros", "", 0)
        for i in range(3):
            writer.add_message(channel, i, CompressedImage(data=IMAGES[i]).SerializeToString(), i)
            writer.flush()
            writer.add_message(other, i, bytes(140_000_000 if i == 1 else 100), i)
            writer.flush()

    path = write(tmp_path / "bomb.mcap", fill, compression=compression, chunk_size=2**40)
    assert path.stat().st_size < 2_000_000
    frames, source = read(path)
    assert [frame.data for frame in frames] == IMAGES[:3]
    assert source.damage is not None
    assert "damaged: 1 stretch of " in source.damage


def test_a_chunk_of_countless_records_is_damage(tmp_path: Path) -> None:
    def fill(writer: Writer) -> None:
        channel = writer.register_channel("/cam", "protobuf", writer.register_schema(IMAGE, "protobuf", b""))
        writer.add_message(channel, 0, CompressedImage(data=IMAGES[0]).SerializeToString(), 0)
        writer.flush()
        for i in range(300_000):
            writer.add_message(channel, i, b"", i)

    frames, source = read(write(tmp_path / "many.mcap", fill, chunk_size=2**40))
    assert len(frames) == 1
    assert source.damage is not None


def test_hidden_and_special_files_in_a_folder_of_recordings_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "line-1.mcap", three_cameras)
    (tmp_path / "._line-1.mcap").write_bytes(b"\0\5\26\7" + bytes(100))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    source = open_source(str(tmp_path))
    assert source.length == 10
    assert source.passed_over is not None
    for said in ("1 hidden ('._line-1.mcap')", "2 with other endings ('a.png', 'notes.txt')"):
        assert said in source.passed_over
