"""Times and sizes as people write them."""

import pytest
from andon_monitor.common.units import describe_size, parse_duration, parse_latency, parse_size
from andon_monitor.errors import UsageError


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("45", 45), ("1.5m", 90)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration("--budget", text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-3m", "0", "nan", "inf", "10 minutes"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--budget: .* is not a time; right is 90s, 10m"):
        parse_duration("--budget", text)


@pytest.mark.parametrize(("text", "seconds"), [("10ms", 0.01), ("0.5s", 0.5), ("100fps", 0.01), ("12.5 ms", 0.0125)])
def test_latencies(text: str, seconds: float) -> None:
    assert parse_latency("--latency", text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["10", "", "fps", "0fps", "10m", "-1ms"])
def test_what_is_no_latency_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--latency: .* is not a time for a frame; right is 10ms, 0.5s or 100fps"):
        parse_latency("--latency", text)


@pytest.mark.parametrize(("text", "size"), [("500MB", 500_000_000), ("2GiB", 2 * 2**30), ("1000", 1000)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size("--file-size", text) == size


@pytest.mark.parametrize(("size", "text"), [(999, "999 B"), (1234, "1.23 kB"), (5e12, "5 TB")])
def test_sizes_are_described_with_three_digits(size: float, text: str) -> None:
    assert describe_size(size) == text
