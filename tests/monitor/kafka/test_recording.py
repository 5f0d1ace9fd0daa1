"""Topics recorded from a real broker, replayed to it, and recorded again."""

import json
import time
from pathlib import Path
from typing import Any

from andon_monitor.inspection.frames import Frame
from andon_monitor.sources.recording import recorded_verdicts

from tests.fixtures.commands import andon
from tests.fixtures.kafka_line import Line
from tests.fixtures.mcap_recordings import read
from tests.fixtures.small_model import START, parts

FRAMES = 30


def essence(frame: Frame) -> tuple[Any, ...]:
    """All of a frame but where in a topic it lay."""
    return frame.camera, frame.captured_at, frame.data, frame.key, frame.headers


def by_camera(frames: list[Frame]) -> list[Frame]:
    return sorted(frames, key=lambda frame: (frame.camera, frame.captured_at))


def same_but_position(verdict: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in verdict.items() if name not in ("id", "latency", "frame")}


def test_record_replay_record_gives_the_same_frames_and_verdicts(line: Line, tmp_path: Path) -> None:
    images = [data for data, _ in parts(FRAMES)]
    for i, image in enumerate(images):  # bytes that are no text, a header twice, none at all
        named = [("ce_time", b"2026-01-05T06:00:%02d.250Z" % i), ("ce_part", b"%d" % i)]
        headers = [*named, ("raw", b"\xff\x00"), ("raw", b"2")] if i % 3 else []
        line.send([image], [("left", "right")[i % 2]], headers=headers, timestamp_ms=int(START * 1000) + i * 1000)
    with line.monitor():
        line.read_verdicts(FRAMES)
    first, second = tmp_path / "first.mcap", tmp_path / "second.mcap"
    done = andon("record", "--source", line.uri(line.frames), "--verdicts", line.uri(line.verdicts), "-o", first,
                 "--start", "earliest", "--until-end")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{FRAMES} frames, {FRAMES} verdicts, " in done.stderr

    replayed = Line(line.servers, f"{line.name}-again", line.model, tmp_path)
    done = andon("replay", first, "--to", replayed.uri(replayed.frames), "--speed", "max")
    assert done.returncode == 0, done.stderr
    assert f"{FRAMES} frames published" in done.stderr
    with replayed.monitor():
        replayed.read_verdicts(FRAMES)
    done = andon("record", "--source", replayed.uri(replayed.frames), "--verdicts", replayed.uri(replayed.verdicts),
                 "-o", second, "--start", "earliest", "--until-end")  # fmt: skip
    assert done.returncode == 0, done.stderr

    frames, again = (by_camera(read(path)[0]) for path in (first, second))
    assert [frame.data for frame in frames] == [image for side in (0, 1) for image in images[side::2]]
    assert [essence(frame) for frame in again] == [essence(frame) for frame in frames]
    assert frames[1].captured_at == START + 2.25
    assert frames[1].headers[2:] == (("raw", b"\xff\x00"), ("raw", b"2"))

    verdicts, verdicts_again = (
        sorted(map(json.loads, recorded_verdicts([path])), key=lambda v: (v["camera"], v["captured_at"]))
        for path in (first, second)
    )
    assert [same_but_position(v) for v in verdicts_again] == [same_but_position(v) for v in verdicts]
    # The recording itself, with no broker: the verdicts of the line, ids included.
    done = andon("run", "--no-server", "--model", line.model, "--source", first)
    assert done.returncode == 0, done.stderr
    alone = sorted(map(json.loads, done.stdout.splitlines()), key=lambda v: (v["camera"], v["captured_at"]))
    assert [{**v, "latency": None} for v in alone] == [{**v, "latency": None} for v in verdicts]


def test_a_replay_keeps_the_tempo_chooses_shifts_and_loops(line: Line, recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "line.mcap"
    assert andon("record", "--source", recording, "-o", path).returncode == 0
    # Forty frames of two cameras, half a second apart: ten frames in the window, five of them of the camera.
    started = time.time()
    done = andon(
        "replay", path, "--to", line.uri(line.frames), "--from", "2026-01-05T06:00:05Z", "--until", "+10",
        "--camera", "station-2", "--speed", "4", "--loops", "2", "--stamp", "now",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = sorted(line.read(line.frames, 10, extra=0.3), key=lambda record: record.offset)
    assert len(records) == 10
    assert {record.key for record in records} == {b"station-2"}
    times = [record.timestamp / 1000 for record in records]
    assert started < times[0] < times[-1] < time.time()
    assert 0.9 < times[4] - times[0] < 2.5  # five frames, a second apart, four times as fast


def test_what_cannot_be_replayed_is_one_line(line: Line, recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "line.mcap"
    assert andon("record", "--source", recording, "-o", path).returncode == 0
    (tmp_path / "cut.mcap").write_bytes(path.read_bytes()[:-10])
    target = line.uri(line.frames)
    for arguments, code, message in [
        ([path, "--to", target, "--speed", "0"], 2, "--speed: '0' should be max, or a factor above 0"),
        ([path, "--to", target, "--from", "noon"], 2, "--from: 'noon' is not a time; right is 2026-01-05T06:00:00Z"),
        ([path, "--to", target, "--camera", "top"], 2, "--camera top: not in"),
        (
            [path, "--to", target, "--from", "+90000"],
            2,
            "no frame between --from and --until; the first was captured at 2026-01-05",
        ),
        ([path, "--to", line.uri("no.such")], 2, "no such topic"),
        ([tmp_path / "none.mcap", "--to", target], 2, "no such folder or file"),
        (
            [tmp_path / "cut.mcap", "--to", target, "--speed", "max"],
            1,
            "its end is missing, as after a crash; 40 frames",
        ),
    ]:
        done = andon("replay", *arguments)
        assert done.returncode == code, done.stderr
        assert message in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def test_a_recording_begins_at_a_time_and_disturbs_nobody(line: Line, tmp_path: Path) -> None:
    images = [data for data, _ in parts(10)]
    for i, image in enumerate(images):
        line.send([image], timestamp_ms=int(START * 1000) + i * 1000)
    path = tmp_path / "late.mcap"
    done = andon("record", "--source", line.uri(line.frames), "-o", path, "--until-end", "--start",
                 "2026-01-05T06:00:05Z")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(frame.data for frame in read(path)[0]) == sorted(images[5:])
    with line.monitor():  # its group starts at the beginning all the same
        assert len(line.read_verdicts(10)) == 10
