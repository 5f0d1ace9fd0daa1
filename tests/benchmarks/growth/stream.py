"""A long stream: does the monitor's memory grow, does its latency drift?"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.live import USUAL, Arrival, Usage, Watch, encoded, free_ports, line, send
from tests.benchmarks.workloads import Workload

CAMERAS = 4
PARTS = 6  # of the time, whose figures are set side by side
LOOK = 5.0  # seconds between looks at the process
WARM = 60.0  # seconds until every buffer has been as full as it gets, the charts and the bounded histories aside


def measure(workload: Workload, folder: Path, servers: str, rate: float, minutes: float) -> dict[str, Any]:
    """`rate` frames a second for `minutes`, each part of the time by itself, and the trend of memory over all."""
    count = round(60 * minutes * rate)
    images = encoded(workload, folder)
    port = free_ports(1)[0]
    with line(workload, folder, CAMERAS, servers) as (made, reader), made.monitor(*USUAL, port=port) as monitor:
        monitor.wait_for("source kafka", 60)
        watch = Watch(monitor, port, LOOK)
        with watch.looking():
            send(made, images, CAMERAS, rate, count)
        reader.wait(count, 60)
        return summary(watch.seen, reader.arrivals, count)


def summary(seen: Sequence[Usage], arrivals: Sequence[Arrival], count: int) -> dict[str, Any]:
    """What a table and a reader of the JSON want to know."""
    at, cpu, memory = np.array([(look.at, look.cpu, look.memory) for look in seen]).T
    due = np.array([arrival.at - arrival.late for arrival in arrivals])
    late = np.array([arrival.late for arrival in arrivals])
    edges = np.linspace(at[0], at[-1], PARTS + 1)
    parts = []
    for start, end in pairwise(edges):
        looks, frames = (at >= start) & (at <= end), (due >= start) & (due <= end)
        p50, p99 = np.percentile(late[frames], [50, 99])
        used = (cpu[looks][-1] - cpu[looks][0]) / (at[looks][-1] - at[looks][0])
        parts.append(
            {
                "minutes": float((end - edges[0]) / 60),
                "frames": int(frames.sum()),
                "memory": float(np.median(memory[looks])),
                "cores": float(used),
                "p50": float(p50),
                "p99": float(p99),
            }
        )
    warm = at > at[0] + WARM
    # Per second; a median of slopes (Theil 1950, Sen 1968) does not mind a garbage collection.
    slope = theil_sen(at[warm], memory[warm])
    return {"frames": count, "answered": len(arrivals), "parts": parts, "bytes_per_hour": 3600 * slope}


def theil_sen(x: np.ndarray, y: np.ndarray) -> float:
    """The median slope between all pairs of points."""
    i, j = np.triu_indices(len(x), k=1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i]))) if len(i) else 0.0


def show(found: dict[str, Any]) -> None:
    """A table."""
    print(f"\n{'until minute':>12} {'frames':>8} {'memory, MB':>11} {'cores':>7} {'latency ms, 50 %':>17} {'99 %':>7}")
    for part in found["parts"]:
        print(
            f"{part['minutes']:>12.1f} {part['frames']:>8} {part['memory'] / 1e6:>11.1f} {part['cores']:>7.3f}"
            f" {1000 * part['p50']:>17.1f} {1000 * part['p99']:>7.1f}"
        )
    print(
        f"{found['answered']} of {found['frames']} frames answered; memory grows by "
        f"{found['bytes_per_hour'] / 1e6:.2f} MB an hour"
    )
