"""The broker dies and restarts, monitors hang, and no frame is lost or gets two different verdicts."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.kafka_line import Line, out_of_order, positions
from tests.fixtures.small_model import parts


def test_a_broker_killed_is_waited_out_and_nothing_is_lost(fragile: Any, model_path: Path, tmp_path: Path) -> None:
    line = Line(fragile.servers, "killed", model_path, tmp_path)
    line.send([data for data, _ in parts(40)])
    with line.monitor("kafka.delivery=exactly-once", "kafka.instance_id=one") as monitor:
        line.read_verdicts(1)
        fragile.signal_node(1, signal.SIGKILL)
        fragile.start_node(1)  # at once: a commit that is under way waits for it, but not for ever
        line.send([data for data, _ in parts(40)])
        verdicts = line.read_answers(80)
        assert monitor.process.poll() is None
        monitor.signal(signal.SIGTERM)
        assert monitor.end() == 0, monitor.log.read_text()
    assert len(verdicts) == len(set(positions(verdicts))) == 80
    assert out_of_order(verdicts) == 0


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_monitor_that_hung_and_lost_its_partitions_takes_them_up_again(
    delivery: str, fragile: Any, model_path: Path, tmp_path: Path
) -> None:
    line = Line(fragile.servers, f"hung-{delivery}", model_path, tmp_path)
    line.send([data for data, _ in parts(100)])
    with line.monitor(f"kafka.delivery={delivery}") as first:
        line.read_verdicts(1)
        first.signal(signal.SIGSTOP)
        with line.monitor(f"kafka.delivery={delivery}") as second:
            second.wait_for("partitions of")
            line.read_answers(100)
            first.signal(signal.SIGCONT)
            line.send([data for data, _ in parts(100)])
            verdicts = line.read_answers(200)
    assert len(set(positions(verdicts))) == 200
    if delivery == "exactly-once":
        assert len(verdicts) == 200
