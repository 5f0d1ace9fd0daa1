"""Frames that could not be inspected are kept unchanged, and nothing else is."""

import base64
import json
from pathlib import Path

import pytest
from andon_monitor.errors import OutputError
from andon_monitor.inspection.frames import REASONS
from andon_monitor.inspection.inspector import Inspection, Prepared
from andon_monitor.model.file import Model
from andon_monitor.sinks.dead_letters import DeadLetterFolder

from tests.fixtures.review_line import inspect
from tests.fixtures.small_model import draw, encode, make_frame


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
