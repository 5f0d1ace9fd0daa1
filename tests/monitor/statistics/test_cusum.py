import numpy as np
import pytest
from andon_monitor.statistics.cusum import CEILING_IN_LIMITS, BernoulliCusum

QUICK = BernoulliCusum(normal=0.05, raised=0.15, limit=3.0)  # few parts to a signal, so that simulations are short
USUAL = BernoulliCusum(normal=0.005, raised=0.015, limit=6.0)


def run_length(cusum: BernoulliCusum, rate: float, rng: np.random.Generator) -> int:
    """Parts of a simulated line until the signal."""
    statistic, parts = 0.0, 0
    while statistic < cusum.limit:
        for defect in rng.random(1000) < rate:
            statistic = cusum.step(statistic, bool(defect))
            parts += 1
            if statistic >= cusum.limit:
                break
    return parts


@pytest.mark.parametrize(("rate", "runs"), [(0.05, 300), (0.15, 1000), (0.5, 2000)])
def test_simulated_lines_run_as_long_as_computed(rate: float, runs: int) -> None:
    """In control at 0.05, out of control above; the tolerance is four standard errors of the simulation."""
    rng = np.random.default_rng(5)
    lengths = [run_length(QUICK, rate, rng) for _ in range(runs)]
    standard_error = np.std(lengths) / np.sqrt(runs)
    assert np.mean(lengths) == pytest.approx(QUICK.average_run_length(rate), abs=4 * standard_error)


@pytest.mark.parametrize(("rate", "parts"), [(0.015, 823), (0.05, 138)])
def test_the_usual_chart_sees_a_rise_when_it_says(rate: float, parts: int) -> None:
    rng = np.random.default_rng(6)
    assert USUAL.average_run_length(rate) == pytest.approx(parts, abs=1)
    assert np.mean([run_length(USUAL, rate, rng) for _ in range(200)]) == pytest.approx(parts, rel=0.15)


def test_the_usual_chart_is_silent_for_a_hundred_thousand_good_parts() -> None:
    assert USUAL.average_run_length(0.005) == pytest.approx(122_593, rel=1e-4)
    rng = np.random.default_rng(7)
    statistic, alarms = 0.0, 0
    for defect in rng.random(300_000) < 0.005:
        statistic = USUAL.step(statistic, bool(defect))
        if statistic >= USUAL.limit:
            alarms, statistic = alarms + 1, 0.0
    assert alarms <= 8  # 2.4 are expected; more than 8 would come once in a thousand such lines


def test_a_run_length_is_that_of_the_equations_it_comes_from() -> None:
    gain, top = QUICK._good_parts, int(np.ceil(QUICK.limit / QUICK._loss - 1e-9))
    matrix = np.eye(top)
    for i in range(top):
        matrix[i, max(i - 1, 0)] -= 0.95
        if i + gain < top:
            matrix[i, i + gain] -= 0.05
    assert QUICK.average_run_length(0.05) == pytest.approx(np.linalg.solve(matrix, np.ones(top))[0])


def test_good_parts_bring_it_down_to_zero_and_no_further() -> None:
    statistic = USUAL.step(0.0, True)
    assert statistic == pytest.approx(np.log(3), abs=0.005)
    for _ in range(USUAL._good_parts):
        statistic = USUAL.step(statistic, False)
    assert statistic == pytest.approx(0, abs=1e-9)
    assert USUAL.step(statistic, False) == 0


def test_a_long_burst_is_forgotten_soon_after_its_end() -> None:
    statistic = 0.0
    for _ in range(1000):
        statistic = USUAL.step(statistic, True)
    assert statistic == CEILING_IN_LIMITS * USUAL.limit
    good = 0
    while statistic >= USUAL.limit:
        statistic, good = USUAL.step(statistic, False), good + 1
    assert good == 297
