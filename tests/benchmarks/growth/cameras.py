"""More cameras at the same total rate: a frame should cost the same whoever sent it."""

import statistics
from pathlib import Path
from typing import Any

from tests.benchmarks.live import USUAL, Usage, Watch, encoded, free_ports, line, send
from tests.benchmarks.workloads import Workload

CAMERAS = (1, 10, 50, 200)
PARTITIONS = 12
WARM = 2  # frames of each camera before the measurement: its metrics and charts are made at its first frame


def measure(workload: Workload, folder: Path, servers: str, rate: float, count: int, rounds: int) -> dict[str, Any]:
    """For each number of cameras, in each round: processor seconds a frame, and memory at the end."""
    found: dict[int, list[dict[str, float]]] = {cameras: [] for cameras in CAMERAS}
    for _ in range(rounds):
        for cameras in CAMERAS:
            found[cameras].append(once(workload, folder, servers, cameras, rate, count))
    return {str(cameras): items for cameras, items in found.items()}


def once(workload: Workload, folder: Path, servers: str, cameras: int, rate: float, count: int) -> dict[str, float]:
    """A monitor of its own."""
    images, warm, port = encoded(workload, folder), WARM * max(CAMERAS), free_ports(1)[0]
    with line(workload, folder, PARTITIONS, servers) as (made, reader), made.monitor(*USUAL, port=port) as monitor:
        send(made, images, cameras, 10 * rate, warm)
        reader.wait(warm, 120)
        begun = Usage.of(monitor)
        with Watch(monitor, port, interval=1.0).looking():
            send(made, images, cameras, rate, count)
            reader.wait(warm + count, 120)
        ended = Usage.of(monitor)
        late = [arrival.late for arrival in reader.arrivals[warm:]]
        return {
            "cpu": (ended.cpu - begun.cpu) / count,
            "memory": ended.memory,
            "p50": statistics.median(late),
        }


def show(found: dict[str, Any]) -> None:
    """A table."""
    print(f"\n{'cameras':>8} {'CPU ms/frame (range)':>22} {'of one camera':>14} {'memory, MB':>11} {'latency ms':>11}")
    alone = [item["cpu"] for item in next(iter(found.values()))]
    for cameras, items in found.items():
        costs = [1000 * item["cpu"] for item in items]
        ratio = statistics.median(item["cpu"] / one for item, one in zip(items, alone, strict=True))
        memory, late = (statistics.median(item[name] for item in items) for name in ("memory", "p50"))
        spread = f"{statistics.median(costs):.1f} ({min(costs):.1f} to {max(costs):.1f})"
        print(f"{cameras:>8} {spread:>22} {ratio:>14.2f} {memory / 1e6:>11.0f} {1000 * late:>11.1f}")
