"""Times and sizes as people write them."""

import pytest
from andon_monitor.common.units import describe_size, parse_duration, parse_size
from andon_monitor.errors import UsageError


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("45", 45), ("1.5m", 90)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration("--budget", text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-3m", "0", "nan", "inf", "10 minutes"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--budget: .* is not a time; right is 90s, 10m"):
        parse_duration("--budget", text)


@pytest.mark.parametrize(("text", "size"), [("500MB", 500_000_000), ("2GiB", 2 * 2**30), ("1000", 1000)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size("--file-size", text) == size


@pytest.mark.parametrize(("size", "text"), [(999, "999 B"), (1234, "1.23 kB"), (5e12, "5 TB")])
def test_sizes_are_described_with_three_digits(size: float, text: str) -> None:
    assert describe_size(size) == text
