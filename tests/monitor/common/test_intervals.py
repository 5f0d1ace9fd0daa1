"""Intervals and the sign test against scipy's."""

import pytest
from andon_monitor.common.intervals import beta_interval, rate, sign_test
from scipy import stats


@pytest.mark.parametrize(
    ("flagged", "count"),
    [(0, 1), (1, 1), (0, 60), (3, 60), (30, 60), (60, 60), (7, 15), (15, 15), (120, 4000), (7, 100_000)],
)
def test_the_interval_is_clopper_and_pearsons(flagged: int, count: int) -> None:
    found = rate(flagged, count)
    expected = stats.binomtest(flagged, count).proportion_ci(0.95, "exact")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)
    assert found.low <= found.share == flagged / count <= found.high


def test_of_nothing_there_is_no_rate() -> None:
    assert rate(0, 0) is None
    assert sign_test(0, 0) is None


@pytest.mark.parametrize(("first", "second"), [(0, 1), (5, 5), (1, 9), (12, 3)])
def test_the_sign_test_is_exact(first: int, second: int) -> None:
    assert sign_test(first, second) == pytest.approx(stats.binomtest(first, first + second).pvalue)


@pytest.mark.parametrize(("above", "count"), [(1, 9), (3, 300), (10, 4999)])
def test_the_share_above_a_threshold_is_beta(above: int, count: int) -> None:
    expected = stats.beta(above, count + 1 - above).ppf([0.1, 0.9])
    assert beta_interval(above, count, 0.8) == pytest.approx(tuple(expected), rel=1e-6)
