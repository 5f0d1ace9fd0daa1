"""The monitor's memory is bounded however many frames wait."""

from pathlib import Path

import numpy as np

from tests.fixtures.kafka_line import Line
from tests.fixtures.small_model import draw, encode


def test_memory_is_bounded_by_settings_when_frames_have_piled_up(line: Line) -> None:
    """300 MB of frames wait; what the monitor's memory grows by is a fraction of it."""
    noise = np.random.default_rng(1)
    big = [encode(noise.integers(0, 256, (1000, 1000), np.uint8)) for _ in range(5)]
    line.send([encode(draw(1))])
    limits = ("kafka.fetch_bytes=8388608", "inspection.in_flight_bytes=8388608", "inspection.max_staleness=3600")
    with line.monitor(*limits) as monitor:
        line.read_verdicts(1)
        before = peak_memory(monitor.process.pid)
        line.send([big[i % len(big)] for i in range(300)])
        line.read_verdicts(301)
        grown = peak_memory(monitor.process.pid) - before
    assert grown < 150e6, f"{grown / 1e6:.0f} MB"


def peak_memory(process: int) -> int:
    """The most memory that a process has had so far, bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
