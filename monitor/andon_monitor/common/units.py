"""Sizes and durations as people write them on a command line."""

import re

from andon_monitor.errors import UsageError

SIZES = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}
MILLISECONDS = {"ms": 1.0, "s": 1000.0}
RATES = {"fps": 1.0}
SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]*)")


def parse_size(option: str, text: str) -> int:
    """Bytes: 500MB, 2GiB, 1000. Raises UsageError."""
    return round(_parse(option, text, SIZES, "a size; right is 500MB, 2GB or a number of bytes"))


def parse_duration(option: str, text: str) -> float:
    """Seconds: 90, 90s, 10m, 8h, 1d. Raises UsageError."""
    return _parse(option, text, SECONDS, "a time; right is 90s, 10m, 8h or a number of seconds")


def parse_latency(option: str, text: str) -> float:
    """Seconds for a frame: 10ms, 0.5s, or as frames a second, 100fps. Raises UsageError."""
    right = "a time for a frame; right is 10ms, 0.5s or 100fps"
    if text.strip().lower().endswith("fps"):
        return 1 / _parse(option, text, RATES, right)
    return _parse(option, text, MILLISECONDS, right) / 1000


def describe_size(size: float) -> str:
    """Bytes for people, with three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _parse(option: str, text: str, units: dict[str, float] | dict[str, int], right: str) -> float:
    match = NUMBER.fullmatch(text.strip().lower())
    if match is None or match.group(2) not in units or float(match.group(1)) <= 0:
        raise UsageError(f"{option}: {text!r} is not {right}")
    return float(match.group(1)) * units[match.group(2)]
