"""Rates of the last ten seconds."""

import time

import pytest
from andon_monitor.common.progress import Rate


def test_the_rate_is_that_of_the_last_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 2, 10, 14, 18, 24, 34, 36])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    rate = Rate()
    assert [rate.at(count) for count in (40, 200, 240, 240, 240, 240, 260)] == [
        20,
        20,
        200 / 12,
        200 / 16,
        0,
        0,
        20 / 12,
    ]
