"""The formulas against their simulations, and the page against the command that made its table."""

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.capacity.__main__ import CAMERAS, table
from tests.benchmarks.capacity.formula import CERTAINTY, Terms, imbalance, mean_wait, plan, wait_quantile
from tests.benchmarks.capacity.simulation import busiest, periodic_waits, waits

PAGE = Path(__file__).parents[3] / "docs" / "operator" / "capacity.md"


@pytest.mark.parametrize(("servers", "busy"), [(1, 0.7), (2, 0.8), (4, 0.7)])
def test_waits_are_those_of_a_simulated_queue(servers: int, busy: float) -> None:
    found = waits(servers, busy, frames=60_000)
    assert mean_wait(servers, busy) == pytest.approx(found.mean(), rel=0.12)
    assert wait_quantile(servers, busy, 0.99) == pytest.approx(np.quantile(found, 0.99), rel=0.15)


def test_one_server_waits_as_pollaczek_and_khinchine_have_it() -> None:
    assert mean_wait(1, 0.8) == pytest.approx(0.8 / (2 * (1 - 0.8)))


def test_cameras_with_a_beat_of_their_own_wait_less() -> None:
    assert np.quantile(periodic_waits(2, 0.8, 50, lines=10), 0.99) < wait_quantile(2, 0.8, 0.99)


@pytest.mark.parametrize(("cameras", "monitors"), [(100, 4), (1000, 8)])
def test_the_busiest_monitor_is_that_of_kafkas_own_hash(cameras: int, monitors: int) -> None:
    found = np.quantile(busiest(cameras, monitors, 4, lines=100), CERTAINTY)
    assert imbalance(cameras, monitors) == pytest.approx(found, rel=0.1)


def test_the_busiest_monitor_is_no_busier_than_wanted_and_one_fewer_would_be() -> None:
    terms = Terms()
    made = plan(1000, terms)
    for monitors, enough in ((made.monitors, True), (made.monitors - 1, False)):
        load = 1000 * terms.rate * terms.frame_cpu / monitors * imbalance(1000, monitors)
        assert (load <= terms.utilisation * terms.cores) == enough


def test_more_brokers_where_the_network_is_full() -> None:
    few, many = plan(10_000, Terms()), plan(10_000, Terms(frame_bytes=550e3))
    assert few.broker_in <= 0.5 * 500e6
    assert many.brokers > 5 * few.brokers


def test_the_page_has_the_table_that_the_command_prints() -> None:
    assert "\n".join(table(CAMERAS, Terms())) in PAGE.read_text()
