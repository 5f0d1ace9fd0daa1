"""Verdicts as JSON lines: complete, or as far as they were written, never half a line."""

import os
from pathlib import Path

import pytest
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.model.file import Model
from andon_monitor.sinks.base import Sink
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
    sink.close("complete")
    assert path.read_text() == "".join(f"{inspection.verdict.to_json()}\n" for inspection in some)
    assert not part.exists()


def test_a_failed_run_leaves_the_verdicts_of_the_one_before(some: list[Inspection], tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text("before\n")
    sink = open_sink(str(path), append=False)
    sink.write(some)
    sink.close("failed")
    assert path.read_text() == "before\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["verdicts.jsonl"]


def test_a_service_appends_and_cuts_off_half_a_line(some: list[Inspection], tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text("whole\n" + "half " * 30000)
    sink = open_sink(str(path), append=True)
    sink.write(some[:1])
    assert path.read_text() == f"whole\n{some[0].verdict.to_json()}\n"
    sink.close("failed")
    assert path.read_text().count("\n") == 2


def test_two_runs_cannot_write_one_file(some: list[Inspection], tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    for append in (True, False):
        sink = open_sink(str(path), append)
        with pytest.raises(UsageError, match="another run is writing to it"):
            open_sink(str(path), append)
        sink.write(some)
        sink.close("complete")


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
    sink.close("failed")
    assert Path("/dev/full").exists()


def test_standard_output_gets_one_line_for_each(some: list[Inspection], capfd: pytest.CaptureFixture[str]) -> None:
    sink: Sink = open_sink("-", append=False)
    sink.write(some)
    sink.close("complete")
    assert capfd.readouterr().out.splitlines() == [inspection.verdict.to_json() for inspection in some]
