import base64
import json
import os
from pathlib import Path

import pytest
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.inspection.frames import REASONS
from andon_monitor.inspection.inspector import Inspection, Prepared
from andon_monitor.model.file import Model
from andon_monitor.sinks.base import Sink
from andon_monitor.sinks.dead_letters import DeadLetterFolder
from andon_monitor.sinks.jsonl import JsonLines
from andon_monitor.sinks.uri import open_sink

from tests.fixtures.review_line import inspect
from tests.fixtures.small_model import draw, encode, make_frame


@pytest.fixture
def some(model: Model) -> list[Inspection]:
    return inspect(model, [make_frame(encode(draw(i)), i) for i in range(3)])


def test_a_recordings_verdicts_get_their_name_when_they_are_complete(some: list[Inspection], tmp_path: Path) -> None:
    path = tmp_path / "out" / "verdicts.jsonl"
    sink = open_sink(str(path), append=False)
    sink.write(some[:2])
    part = path.with_name("verdicts.jsonl.part")
    assert part.read_text().count("\n") == 2  # can be read while it grows
    assert not path.exists()
    sink.write(some[2:])
    sink.close(complete=True)
    assert path.read_text() == "".join(f"{inspection.verdict.to_json()}\n" for inspection in some)
    assert not part.exists()


def test_a_failed_run_leaves_the_verdicts_of_the_one_before(some: list[Inspection], tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text("before\n")
    sink = open_sink(str(path), append=False)
    sink.write(some)
    sink.close(complete=False)
    assert path.read_text() == "before\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["verdicts.jsonl"]


def test_a_service_appends_and_cuts_off_half_a_line(some: list[Inspection], tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text("whole\n" + "half " * 30000)
    sink = open_sink(str(path), append=True)
    sink.write(some[:1])
    assert path.read_text() == f"whole\n{some[0].verdict.to_json()}\n"
    sink.close(complete=False)
    assert path.read_text().count("\n") == 2


def test_two_runs_cannot_write_one_file(some: list[Inspection], tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    for append in (True, False):
        sink = open_sink(str(path), append)
        with pytest.raises(UsageError, match="another run is writing to it"):
            open_sink(str(path), append)
        sink.write(some)
        sink.close(complete=True)


def test_a_write_that_fails_leaves_no_half_line(
    some: list[Inspection], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "verdicts.jsonl"
    sink = JsonLines(path, append=True)
    sink.write(some[:1])
    write = os.write

    def run_out_of_space(file: int, data: bytes) -> int:
        if len(data) < 500:
            raise OSError(28, "No space left on device")
        return write(file, data[:-300])

    monkeypatch.setattr(os, "write", run_out_of_space)
    with pytest.raises(OutputError, match="No space left on device"):
        sink.write(some[1:])
    monkeypatch.undo()
    assert path.read_text() == f"{some[0].verdict.to_json()}\n"


@pytest.mark.parametrize("append", [True, False])
def test_a_full_disk_is_one_line_and_a_device_is_left_alone(some: list[Inspection], append: bool) -> None:
    sink = open_sink("/dev/full", append)
    with pytest.raises(OutputError, match=r"^/dev/full: cannot be written \(No space left on device\)$"):
        sink.write(some)
    sink.close(complete=False)
    assert Path("/dev/full").exists()


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target, message in [
        (str(tmp_path / "file" / "verdicts.jsonl"), "cannot be written"),
        (str(tmp_path), "a folder; give the name of a file"),
        ("ftp://broker/verdicts", "unknown kind of sink"),
    ]:
        with pytest.raises(UsageError, match=message):
            open_sink(target, append=False)


def test_standard_output_gets_one_line_for_each(some: list[Inspection], capfd: pytest.CaptureFixture[str]) -> None:
    sink: Sink = open_sink("-", append=False)
    sink.write(some)
    sink.close(complete=True)
    assert capfd.readouterr().out.splitlines() == [inspection.verdict.to_json() for inspection in some]


def test_dead_letters_keep_the_bytes_and_say_why(model: Model, tmp_path: Path) -> None:
    good = make_frame(encode(draw(1)), 0)
    broken = make_frame(b"broken", 1, key=b"\xff\x00", headers=(("trace", b"abc"),))
    dark = make_frame(encode(draw(1) // 20), 2, file="frames/2.PNG")
    counted: list[str] = []
    sink = DeadLetterFolder(tmp_path / "dead", counted.append)
    inspections = inspect(model, [good, broken, dark])
    sink.write(inspections)
    sink.write(inspections)  # delivered again, it is written over itself
    assert counted == ["undecodable", "too_dark"] * 2
    ids = [inspection.verdict.id for inspection in inspections]
    names = {f"{ids[1]}.bin", f"{ids[1]}.json", f"{ids[2]}.png", f"{ids[2]}.json"}
    assert {path.name for path in (tmp_path / "dead").iterdir()} == names
    assert (tmp_path / "dead" / f"{ids[1]}.bin").read_bytes() == b"broken"
    assert (tmp_path / "dead" / f"{ids[2]}.png").read_bytes() == dark.data
    letter = json.loads((tmp_path / "dead" / f"{ids[1]}.json").read_text())
    assert letter["verdict"]["reason"] == "undecodable"
    assert base64.b64decode(letter["key"]) == b"\xff\x00"
    assert letter["headers"] == [["trace", base64.b64encode(b"abc").decode()]]
    assert letter["file"] == f"{ids[1]}.bin"


def test_stale_frames_are_no_dead_letters(model: Model, tmp_path: Path) -> None:
    (inspection,) = inspect(model, [make_frame(b"")])
    kept = {}
    for reason in REASONS:
        folder = tmp_path / reason
        verdict = type(inspection.verdict)(**{**_fields(inspection.verdict), "reason": reason})
        DeadLetterFolder(folder).write([Inspection(Prepared(inspection.frame), verdict)])
        kept[reason] = folder.exists()
    assert [reason for reason, there in kept.items() if not there] == ["stale"]


def test_a_dead_letter_that_cannot_be_written_ends_the_run(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        DeadLetterFolder(tmp_path / "file" / "dead").write(inspect(model, [make_frame(b"")]))


def _fields(verdict: object) -> dict[str, object]:
    return {name: getattr(verdict, name) for name in verdict.__slots__}  # type: ignore[attr-defined]
