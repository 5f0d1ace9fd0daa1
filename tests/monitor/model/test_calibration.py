import math
from itertools import pairwise

import numpy as np
import pytest
from andon_monitor.model.calibration import (
    MAX_SCORES_KEPT,
    Calibration,
    Tail,
    calibrate,
    fit_tail,
    needed_for,
    supported_rate,
)
from scipy import stats

DISTRIBUTIONS = {
    "normal": lambda rng, n: rng.normal(1, 0.2, n),
    "lognormal": lambda rng, n: rng.lognormal(0, 0.7, n),
    "heavy tail": lambda rng, n: rng.pareto(2.5, n),
    "bounded": lambda rng, n: rng.beta(2, 2, n),
    "two peaks": lambda rng, n: np.where(rng.random(n) < 0.3, rng.normal(3, 0.1, n), rng.normal(1, 0.3, n)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(("count", "rate"), [(199, 0.01), (500, 0.02), (99, 0.02)])
def test_a_conformal_threshold_flags_the_promised_share_of_good_parts(name: str, count: int, rate: float) -> None:
    """Over lines each calibrated anew, flags are Bernoulli with the exact probability (n + 1 - rank) / (n + 1)."""
    rng = np.random.default_rng(sum(map(ord, name)) + count)
    lines = 4000
    draws = DISTRIBUTIONS[name](rng, lines * (count + 1)).reshape(lines, count + 1)
    flagged = sum(bool(draw[-1] > calibrate(draw[:-1], rate).threshold) for draw in draws)
    exact = math.floor((count + 1) * rate + 1e-9) / (count + 1)
    assert exact <= rate
    lowest, highest = stats.binom.interval(0.9999, lines, exact)
    assert lowest <= flagged <= highest


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(("count", "rate"), [(200, 0.01), (30, 0.01), (1000, 0.001), (9000, 0.001), (20, 0.04)])
def test_a_p_value_is_at_most_the_rate_exactly_above_the_threshold(name: str, count: int, rate: float) -> None:
    calibration = calibrate(DISTRIBUTIONS[name](np.random.default_rng(count), count), rate)
    threshold = calibration.threshold
    above = [math.nextafter(threshold, math.inf), *np.linspace(threshold, threshold + 10, 50)[1:]]
    below = [threshold, *np.linspace(min(calibration.scores) - 1, threshold, 50)]
    assert all(calibration.p_value(score) <= rate for score in above)
    assert all(calibration.p_value(score) > rate or calibration.method == "conformal" for score in below)
    assert all(calibration.p_value(score) >= rate for score in below)


def test_p_values_fall_as_scores_rise_and_stay_in_0_to_1() -> None:
    for count in (20, 200, 9000):
        calibration = calibrate(np.random.default_rng(count).normal(size=count), 0.01)
        values = [calibration.p_value(score) for score in np.linspace(-6, 60, 500)]
        assert all(0 < later <= earlier <= 1 for earlier, later in pairwise(values))


def test_p_values_of_good_parts_are_no_smaller_than_uniform() -> None:
    rng = np.random.default_rng(7)
    values = []
    for _ in range(2000):
        draw = rng.lognormal(size=50)
        values.append(calibrate(draw[:-1], 0.1).p_value(draw[-1]))
    for level in (0.05, 0.1, 0.3, 0.6):
        assert np.mean(np.array(values) <= level) < level + 4 * math.sqrt(level * (1 - level) / 2000)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01, 0.001, 0.003])
def test_conformal_from_exactly_the_needed_number_on(rate: float) -> None:
    needed = needed_for(rate)
    assert calibrate(np.arange(max(needed, 3)), rate).method == "conformal"
    if needed > 3:
        assert calibrate(np.arange(needed - 1), rate).method == "tail"


def test_the_conformal_threshold_is_the_stated_order_statistic() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 200.0))  # 1 .. 199
    assert calibrate(scores, 0.01).threshold == 198  # ceil(200 * 0.99)


@pytest.mark.parametrize(
    ("name", "quantile"),
    [("normal", stats.norm(1, 0.2).isf), ("lognormal", stats.lognorm(0.7).isf)],
)
def test_a_tail_threshold_lies_near_the_true_quantile(name: str, quantile: object) -> None:
    """With 200 parts and a rate of 0.1 %, in the middle of many fits; a single one is off by more."""
    rng = np.random.default_rng(1)
    thresholds = [calibrate(DISTRIBUTIONS[name](rng, 200), 0.001).threshold for _ in range(200)]
    truth, tenth = quantile(0.001), quantile(0.1)
    assert abs(np.median(thresholds) - truth) < 0.5 * (truth - tenth)


@pytest.mark.parametrize(("count", "rate"), [(20, 0.01), (60, 0.01), (60, 0.001), (118, 0.001)])
def test_of_exponential_tails_no_more_is_flagged_than_promised(count: int, rate: float) -> None:
    """On average over many lines, each calibrated on a few scores of its own: a few peaks know their scale badly."""
    rng = np.random.default_rng(3)
    flagged = [stats.expon.sf(calibrate(rng.exponential(size=count), rate).threshold) for _ in range(3000)]
    assert 0.5 * rate < np.mean(flagged) < 1.1 * rate


def test_a_tail_allows_for_few_peaks() -> None:
    assert fit_tail(np.arange(20, dtype=float)).shape == pytest.approx(1 / 9), "of ten peaks one is censored"
    assert fit_tail(np.arange(3, dtype=float)).shape == 0.5, "the largest that is believed"


@pytest.mark.parametrize("count", [3, 9, 20, 63, 228, 1000])
def test_a_threshold_never_rises_with_the_rate(count: int) -> None:
    rates = np.geomspace(0.0005, 0.5, 60)
    for name, draw in DISTRIBUTIONS.items():
        scores = draw(np.random.default_rng(count), count)
        thresholds = [calibrate(scores, float(rate)).threshold for rate in rates]
        assert all(later <= earlier for earlier, later in pairwise(thresholds)), name


@pytest.mark.parametrize(("count", "rate"), [(6, 0.1), (9, 0.01), (31, 0.05), (45, 0.01), (300, 0.001), (300, 0.01)])
def test_one_defect_among_the_good_cannot_set_the_threshold(count: int, rate: float) -> None:
    """However high it scores, and by less than one scale of the tail for each score that is measured."""
    scores = np.sort(np.random.default_rng(count).exponential(size=count))
    clean = calibrate(scores, rate).threshold
    spoiled = [calibrate(np.append(scores[:-1], high), rate).threshold for high in (scores[-1], 20, 1e6)]
    assert spoiled == [clean] * 3


@pytest.mark.parametrize("count", [10, 20, 45, 100, 300])
@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_few_good_images_keep_the_rate(count: int, rate: float) -> None:
    """The mean share flagged over lines: as promised of exponential and moderately heavy tails, less of normal ones."""
    rng = np.random.default_rng(count)
    truths = {"exponential": stats.expon, "lognormal": stats.lognorm(0.5), "normal": stats.norm}
    for name, truth in truths.items():
        draws = truth.rvs(size=(600, count), random_state=rng)
        flagged = np.mean([truth.sf(calibrate(draw, rate).threshold) for draw in draws])
        assert (0.05 if name == "normal" else 0.6) * rate < flagged < 1.25 * rate, name


@pytest.mark.parametrize(
    ("count", "rate"), [(3, 0.1), (18, 0.1), (19, 0.05), (45, 0.05), (49, 0.02), (99, 0.01), (300, 0.01), (5000, 0.01)]
)
def test_the_supported_rate_is_the_lowest_of_which_the_scores_hold_an_example(count: int, rate: float) -> None:
    assert supported_rate(count) == rate


@pytest.mark.parametrize("count", [10, 20, 45, 60, 100])
def test_a_threshold_at_the_supported_rate_finds_most_of_what_the_best_one_would(count: int) -> None:
    """Of defects that score two to six deviations above good parts."""
    rng, rate = np.random.default_rng(count), supported_rate(count)
    defects = rng.uniform(2, 6, size=4000)
    best = float((defects > stats.norm.isf(rate)).mean())
    found = [(defects > calibrate(rng.normal(size=count), rate).threshold).mean() for _ in range(300)]
    assert np.mean(found) > 0.8 * best


def test_a_tail_never_promises_a_highest_score() -> None:
    """Where the distribution has one, the threshold lies above the true quantile: fewer false alarms, not more."""
    rng = np.random.default_rng(2)
    thresholds = [calibrate(DISTRIBUTIONS["bounded"](rng, 200), 0.001).threshold for _ in range(50)]
    assert np.median(thresholds) > stats.beta(2, 2).isf(0.001)


def test_a_tail_lies_above_where_it_starts_and_its_functions_are_inverse() -> None:
    for seed in range(20):
        tail = fit_tail(np.sort(np.random.default_rng(seed).gamma(2, size=40)))
        assert 1 / 9 <= tail.shape <= 0.5, "of ten peaks"
        for probability in (0.05, 0.01, 1e-4):
            assert tail.quantile(probability) > tail.start
            assert tail.survival(tail.quantile(probability)) == pytest.approx(probability)


def test_an_exponential_tail_is_the_limit_of_small_shapes() -> None:
    straight = Tail(start=1, mass=0.1, scale=0.5, shape=0)
    nearly = Tail(start=1, mass=0.1, scale=0.5, shape=1e-9)
    assert straight.quantile(0.001) == pytest.approx(nearly.quantile(0.001))
    assert straight.survival(2.0) == pytest.approx(nearly.survival(2.0))


@pytest.mark.parametrize("scores", [[1.0] * 5, [1.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
def test_ties_give_a_finite_threshold_above_the_scores(scores: list[float]) -> None:
    calibration = calibrate(scores, 0.01)
    assert math.isfinite(calibration.threshold)
    assert calibration.threshold > max(scores)


@pytest.mark.parametrize("scores", [[], [1.0, 2.0], [1.0, math.nan, 2.0], [1.0, math.inf, 2.0], [[1.0, 2.0, 3.0]]])
def test_too_few_or_broken_scores_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 3 finite scores"):
        calibrate(scores, 0.01)


def test_a_calibration_survives_json_to_the_last_bit() -> None:
    calibration = calibrate(np.random.default_rng(0).normal(size=50), 0.001)
    assert Calibration.model_validate_json(calibration.model_dump_json()) == calibration


def test_many_scores_are_kept_as_a_grid_with_nearly_the_same_p_values() -> None:
    scores = np.random.default_rng(0).normal(size=5 * MAX_SCORES_KEPT)
    calibration = calibrate(scores, 0.01)
    assert len(calibration.scores) == MAX_SCORES_KEPT
    assert calibration.count == len(scores)
    for score in (-1.0, 0.0, 1.0, 2.0):
        assert calibration.p_value(score) == pytest.approx(np.mean(scores >= score), abs=1e-3)
