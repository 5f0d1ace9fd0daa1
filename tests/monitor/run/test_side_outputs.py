"""Outputs other than the verdicts: whatever happens to one, the verdicts go on and it is counted."""

import threading
from collections.abc import Sequence

import pytest
from andon_monitor.common.process import Ending
from andon_monitor.errors import OutputError
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.model.file import Model
from andon_monitor.run import side_outputs
from andon_monitor.run.side_outputs import Guarded, SideOutput
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.kafka_line import PATIENCE
from tests.fixtures.small_model import draw, encode, make_frame


class Output:
    """An output that fails, hangs or works, as the test wants."""

    def __init__(self) -> None:
        self.kept: list[Inspection] = []
        self.ending: Ending | None = None
        self.error: Exception | None = None
        self.go = threading.Event()
        self.go.set()

    def write(self, inspections: Sequence[Inspection]) -> None:
        self.go.wait()
        if self.error is not None:
            raise self.error
        self.kept += inspections

    def close(self, ending: Ending) -> None:
        self.ending = ending
        if self.error is not None:
            raise self.error


@pytest.fixture
def inspections(model: Model) -> list[Inspection]:
    inspector = Inspector(model)
    prepared = [inspector.prepare(make_frame(encode(draw(i)), i)) for i in range(100)]
    return [Inspection(item, verdict) for item, verdict in zip(prepared, inspector.inspect(prepared), strict=True)]


def lost(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("andon_output_lost_frames_total", {"output": "evidence"})


def up(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("andon_output_up", {"output": "evidence"})


def test_an_output_that_works_has_kept_what_a_write_returned_from(inspections: list[Inspection]) -> None:
    output, metrics = Output(), Metrics()
    side = SideOutput("evidence", output, metrics, PATIENCE)
    for i, inspection in enumerate(inspections, 1):
        side.write([inspection])
        assert len(output.kept) == i
    side.close("complete")
    assert output.ending == "complete"
    assert (lost(metrics), up(metrics)) == (0, 1)


@pytest.mark.parametrize("error", [OutputError("review: database is locked"), RuntimeError(), MemoryError()])
def test_an_output_that_fails_is_counted_and_tried_again(
    error: Exception, inspections: list[Inspection], caplog: pytest.LogCaptureFixture
) -> None:
    output, metrics = Output(), Metrics()
    output.error = error
    side = SideOutput("evidence", output, metrics, PATIENCE)
    for inspection in inspections[:3]:
        side.write([inspection])
    assert (lost(metrics), up(metrics)) == (3, 0)
    assert caplog.text.count("verdicts go on without it") == 1
    output.error = None
    side.write(inspections[3:5])
    assert (len(output.kept), up(metrics)) == (2, 1)
    side.close("complete")


def test_an_output_that_hangs_delays_one_write_and_holds_few_frames(
    inspections: list[Inspection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_outputs, "CLOSE_SECONDS", 0.1)
    output, metrics = Output(), Metrics()
    output.go.clear()
    side = SideOutput("evidence", output, metrics, patience=0.05)
    for inspection in inspections:
        side.write([inspection])
    assert lost(metrics) == 100 - side_outputs.MAX_WAITING_FRAMES
    side.close("complete")  # does not hang either
    assert lost(metrics) == 100
    output.go.set()


def test_an_output_that_was_slow_catches_up_and_is_waited_for_again(inspections: list[Inspection]) -> None:
    output, metrics = Output(), Metrics()
    output.go.clear()
    side = SideOutput("evidence", output, metrics, patience=0.05)
    for inspection in inspections[:10]:
        side.write([inspection])
    output.go.set()
    side.close("complete")
    assert [i.verdict.id for i in output.kept] == [i.verdict.id for i in inspections[:10]]
    assert lost(metrics) == 0


def test_a_counter_that_raises_is_counted(inspections: list[Inspection], caplog: pytest.LogCaptureFixture) -> None:
    output, metrics = Output(), Metrics()
    output.error = ValueError("no such camera")
    guarded = Guarded("frozen", output, metrics)
    guarded.write(inspections[:4])
    guarded.write(inspections[:4])
    guarded.close("complete")
    assert metrics.registry.get_sample_value("andon_output_lost_frames_total", {"output": "frozen"}) == 8
    assert caplog.text.count("verdicts go on without it") == 1
