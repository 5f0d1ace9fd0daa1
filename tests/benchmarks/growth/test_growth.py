"""What the tables say of a stream that leaks, of one that slows down, and of one that does neither."""

import numpy as np
import pytest

from tests.benchmarks.growth.stream import PARTS, summary
from tests.benchmarks.live import Arrival, Usage


def stream(leak: float, drift: float) -> tuple[list[Usage], list[Arrival]]:
    """Twenty minutes; bytes an hour, seconds an hour. One look in ten meets a garbage collection."""
    looks = [
        Usage(1e9 + at, 0.05 * at, round(2e8 + leak * at / 3600 + (3e7 if number % 10 == 0 else 0)))
        for number, at in enumerate(np.arange(0, 1200, 5.0))
    ]
    dues = 1e9 + np.arange(0, 1200, 0.5)
    return looks, [Arrival("left", due + late, late) for due in dues for late in [0.02 + drift * (due - 1e9) / 3600]]


@pytest.mark.parametrize("leak", [0.0, 5e6, 1e8])
def test_memory_that_grows_is_seen_past_garbage(leak: float) -> None:
    seen, arrivals = stream(leak, 0.0)
    assert summary(seen, arrivals, 2400)["bytes_per_hour"] == pytest.approx(leak, rel=0.1, abs=1e5)


def test_each_part_of_the_time_has_its_own_latency() -> None:
    seen, arrivals = stream(0.0, 0.3)
    parts = summary(seen, arrivals, 2400)["parts"]
    assert len(parts) == PARTS
    assert parts[-1]["p50"] - parts[0]["p50"] == pytest.approx(0.3 * (1200 / 3600) * (PARTS - 1) / PARTS, rel=0.05)
    assert all(part["cores"] == pytest.approx(0.05) for part in parts)
    assert sum(part["frames"] for part in parts) == pytest.approx(2400, rel=0.01)
