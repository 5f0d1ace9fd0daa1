"""Shares with confidence intervals, and the sign test."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
INTERVAL = "95 % Clopper-Pearson"
HALVINGS = 60  # of the interval [0, 1]: a bound is then exact to the last bits


@dataclass(frozen=True)
class Rate:
    """`flagged` of `count`, and the 95 % Clopper-Pearson interval of the share [`low`, `high`]."""

    flagged: int
    count: int
    share: float
    low: float
    high: float


def rate(flagged: int, count: int) -> Rate | None:
    """A share with its interval (Clopper & Pearson, Biometrika 1934), which covers at least 95 %; None if `count` is 0.

    At the lower bound the probability to see at least `flagged` is 2.5 %, at the upper bound that to see at most
    `flagged`.
    """
    if count == 0:
        return None
    outside = (1 - CONFIDENCE) / 2
    low = 0.0 if flagged == 0 else _solve(lambda share: _at_least(flagged, count, share) < outside)
    high = 1.0 if flagged == count else _solve(lambda share: 1 - _at_least(flagged + 1, count, share) > outside)
    return Rate(flagged, count, flagged / count, low, high)


def sign_test(first: int, second: int) -> float | None:
    """Probability of a split at least this uneven if both sides are equally likely, two-sided; None without any.

    Of the frames on which two models differ, `first` are right in one model and `second` in the other: then this is
    McNemar's exact test (Psychometrika 1947).
    """
    total = first + second
    return min(1.0, 2 * _at_least(max(first, second), total, 0.5)) if total else None


def beta_interval(above: int, count: int, confidence: float) -> tuple[float, float]:
    """Where the share of parts above a threshold lies that has `above` - 1 of `count` good scores above it.

    A further part is above it in `above` of `count` + 1 cases on average, and over all samples of scores the share has
    the distribution Beta(above, count + 1 - above) (Vovk, "Conditional validity of inductive conformal predictors",
    2012). `above` >= 1.
    """
    outside = (1 - confidence) / 2

    def quantile(probability: float) -> float:
        return _solve(lambda share: _at_least(above, count, share) < probability)

    return quantile(outside), quantile(1 - outside)


def _at_least(k: int, n: int, share: float) -> float:
    """P(X >= k), X binomial(n, share)."""
    if k <= 0:
        return 1.0
    if share in (0.0, 1.0):
        return share
    i = np.arange(k, n + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])  # of the factorials
    terms = logs[n] - logs[i] - logs[n - i] + i * math.log(share) + (n - i) * math.log1p(-share)
    return min(1.0, float(np.exp(terms).sum()))


def _solve(is_below: Callable[[float], bool]) -> float:
    """The share up to which `is_below` holds."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2
