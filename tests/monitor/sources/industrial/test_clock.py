"""From the time of a camera's own clock to ours."""

import pytest
from andon_monitor.sources.industrial.clock import PERIOD_SECONDS, CameraClock


def test_what_an_image_waits_for_does_not_count_as_its_capture() -> None:
    clock = CameraClock()
    delays = [0.020, 0.010, 0.500, 0.015, 0.300]
    times = [clock.captured(7.0 + i, 1000.0 + i + delay) for i, delay in enumerate(delays)]
    assert times[1:] == pytest.approx([1001.01, 1002.01, 1003.01, 1004.01])
    assert times[0] == pytest.approx(1000.02)  # nothing faster was known yet


def test_times_never_go_back() -> None:
    clock = CameraClock()
    times = [clock.captured(7.0 + i / 5, 1000.0 + i / 5 + delay) for i, delay in enumerate((0.3, 0.2, 0.1, 0.0))]
    assert times == sorted(times)


def test_clocks_that_drift_apart_are_followed_and_nothing_is_captured_after_its_arrival() -> None:
    clock = CameraClock()
    for i in range(1, 20):
        seconds = i * PERIOD_SECONDS / 2
        arrived = seconds * 1.001  # the camera's clock is slow
        assert arrived - 0.1 < clock.captured(seconds, arrived) <= arrived


def test_without_a_clock_it_is_the_arrival() -> None:
    assert CameraClock().captured(None, 12.5) == 12.5
