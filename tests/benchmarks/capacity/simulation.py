"""What the formulas say, tried: cameras hashed by Kafka's own partitioner, frames that queue for cores."""

import heapq

import numpy as np
from kafka.partitioner.default import murmur2
from numpy.typing import NDArray

LINES = 200  # names of cameras differ from line to line
FRAMES = 200_000


def busiest(
    cameras: int, monitors: int, partitions_each: int, lines: int = LINES, seed: int = 0
) -> NDArray[np.float64]:
    """Load of the busiest monitor over the mean, for so many lines: float64 [lines].

    Partitions are dealt to the monitors at random, as many to each.
    """
    rng = np.random.default_rng(seed)
    partitions = monitors * partitions_each
    found = np.empty(lines)
    for number in range(lines):
        names = (f"line-{number}/station-{i}".encode() for i in range(cameras))
        chosen = np.array([(murmur2(name) & 0x7FFFFFFF) % partitions for name in names])
        owner = rng.permutation(partitions) % monitors
        found[number] = np.bincount(owner[chosen], minlength=monitors).max() / (cameras / monitors)
    return found


def waits(servers: int, utilisation: float, frames: int = FRAMES, seed: int = 0) -> NDArray[np.float64]:
    """Waits in service times of frames that come at random and are served in their order: float64 [frames].

    Each free core takes the next frame, for one unit of time.
    """
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / (servers * utilisation), frames))
    free = [0.0] * servers  # when each core is free again
    found = np.empty(frames)
    for i, arrival in enumerate(arrivals):
        start = max(arrival, free[0])
        found[i] = start - arrival
        heapq.heapreplace(free, start + 1)
    return found[frames // 10 :]


def periodic_waits(
    servers: int, utilisation: float, cameras: int, periods: int = 50, lines: int = 40
) -> NDArray[np.float64]:
    """The same for cameras that each send at a fixed beat, begun at random: what a line of unlinked cameras is."""
    rng = np.random.default_rng(1)
    period = cameras / (servers * utilisation)
    found = []
    for _ in range(lines):
        phases = np.sort(rng.uniform(0, period, cameras))
        free = [0.0] * servers
        for turn in range(periods):
            for arrival in phases + turn * period:
                start = max(arrival, free[0])
                if turn >= periods // 2:
                    found.append(start - arrival)
                heapq.heapreplace(free, start + 1)
    return np.array(found)
