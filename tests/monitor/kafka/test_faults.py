"""A short run of `make faults`."""

from pathlib import Path

import pytest

from tests.fixtures.components import skip_or_fail
from tests.monitor.kafka.faults import run

INJECTED = {
    *("monitor killed", "monitor hung", "member joined", "member left", "broker killed", "broker hung"),
    *("no dead letters", "partition added", "log shortened", "retention", "topic recreated"),
}


@pytest.mark.parametrize(("delivery", "nodes"), [("at-least-once", 1), ("exactly-once", 3)])
def test_what_is_promised_holds_through_every_kind_of_fault(delivery: str, nodes: int, tmp_path: Path) -> None:
    try:
        outcome = run(delivery, seconds=0, rounds=2, seed=2, folder=tmp_path, nodes=nodes, rate=15)
    except Exception as error:
        if type(error).__name__ == "MissingError":
            skip_or_fail(str(error))
        raise
    assert outcome.frames > 100
    assert set(outcome.faults) >= INJECTED
    assert outcome.kept, outcome
