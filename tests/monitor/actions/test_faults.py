"""The account of actions when something fails: a target that remembers loses none, others none without a count."""

from pathlib import Path

import pytest

from tests.fixtures.action_faults import measure


def test_a_target_that_remembers_gets_all_it_is_owed_by_a_monitor_that_is_killed(tmp_path: Path) -> None:
    row = measure("webhook, remembers", "monitor killed", tmp_path, seconds=3.0)
    assert row is not None
    assert (row.lost, row.counted, row.done) == (0, 0, row.owed)


@pytest.mark.parametrize(("name", "fault"), [("Modbus, acts now", "target stalls"), ("MQTT, acts now", "link cut")])
def test_what_a_target_that_acts_now_did_not_get_is_counted(name: str, fault: str, tmp_path: Path) -> None:
    row = measure(name, fault, tmp_path, seconds=3.0)
    assert row is not None
    assert row.done + row.lost == row.owed
    assert row.lost <= row.counted <= row.lost + 2  # an action whose answer was lost is counted as failed, too
