"""A simulated station at ten parts a second: the gate takes out every defect and no good part, and what faults do."""

from collections import Counter

import pytest

from tests.fixtures.reject_station import HANG_SECONDS, WATCHDOG, WIRINGS, Faults, Line

PARTS = 1000


def count(outcomes: Counter[tuple[str, bool, bool]], good: bool, taken_out: bool, fault: str | None = None) -> int:
    """How many parts; with a fault, of those that it touched."""
    return sum(
        number
        for (name, was_good, was_out), number in outcomes.items()
        if (was_good, was_out) == (good, taken_out) and fault in (None, name)
    )


@pytest.mark.parametrize("wiring", WIRINGS)
def test_without_faults_every_defect_is_taken_out_and_no_good_part(wiring: str) -> None:
    line = Line(WIRINGS[wiring], Faults())
    line.run(PARTS)
    outcomes = line.outcomes()
    assert count(outcomes, good=False, taken_out=True) > PARTS // 50
    # Parts from before the first heartbeat are taken out: nobody knows them.
    assert count(outcomes, good=False, taken_out=False) == 0
    assert count(outcomes, good=True, taken_out=True) == 0
    assert line.counts["late"] + line.counts["failed"] + line.counts["dropped"] + line.counts["old"] == 0


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("fault", ["hang", "slow", "uninspectable"])
def test_what_the_monitor_does_not_answer_in_time_is_taken_out(wiring: str, fault: str) -> None:
    line = Line(WIRINGS[wiring], Faults(**{fault: 0.02 if fault != "hang" else 0.004}), seed=1)
    line.run(PARTS)
    outcomes = line.outcomes()
    assert count(outcomes, good=True, taken_out=True, fault=fault) > 0
    assert count(outcomes, good=False, taken_out=False) == 0
    if fault == "uninspectable":
        assert count(outcomes, good=True, taken_out=False, fault=fault) == 0
        assert count(outcomes, good=True, taken_out=True, fault="") == 0


def test_a_gate_that_opens_for_good_parts_lets_no_defect_pass_whatever_fails() -> None:
    line = Line(WIRINGS["pass"], Faults(0.002, 0.002, 0.002, 0.002, 0.01, 0.01), seed=2)
    line.run(PARTS)
    outcomes = line.outcomes()
    assert {fault for fault, _, _ in outcomes} >= {"hang", "link", "freeze", "kill", "slow", "uninspectable"}
    assert count(outcomes, good=False, taken_out=False) == 0
    assert count(outcomes, good=True, taken_out=True, fault="") == 0


@pytest.mark.parametrize("fault", ["link", "freeze", "kill"])
def test_a_gate_that_rejects_on_command_may_miss_only_what_reaches_it_before_the_watchdog(fault: str) -> None:
    line = Line(WIRINGS["reject"], Faults(**{fault: 0.004}), seed=3)
    line.run(PARTS)
    missed = [part for part in line.parts if not part.good and not part.taken_out]
    assert {part.fault for part in missed} <= {fault}
    # The watchdog of the PLC, and a heartbeat that was on its way.
    gap = WATCHDOG + 0.05 + (HANG_SECONDS if fault == "freeze" else 0.0)
    for part in missed:
        assert any(begin <= part.at_gate <= begin + gap for begin in line.broken), part
