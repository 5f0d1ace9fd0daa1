"""The monitor itself with frames that come at random: does it wait as the queue of the formulas does?"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from andon_monitor.common.cores import available_cores
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.file import Model
from andon_monitor.run.pipeline import Pipeline

from tests.benchmarks.capacity.formula import wait_quantile
from tests.benchmarks.line import Counter, Memory
from tests.benchmarks.workloads import WORKLOADS

UTILISATIONS = (0.5, 0.7, 0.8)
SHARES = (0.5, 0.99)
ALONE = 0.05  # share of the capacity at which frames do not meet


class Irregular(Memory):
    """Frames due at the times of a Poisson process of `rate` a second."""

    def __init__(self, frames: Sequence[Frame], rate: float, seed: int) -> None:
        super().__init__(frames, 1 / rate)
        self._times = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, len(frames)))

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """See `Source.poll`."""
        self._started = self._started or time.time()
        if self._given == len(self._frames):
            return None if capacity else []
        time.sleep(min(timeout, max(0.0, self._due(self._given) - time.time())))
        due = int(np.searchsorted(self._times, time.time() - self._started)) - self._given
        return [replace(f, captured_at=self._due(f.position.offset)) for f in self._take(min(capacity, due))]

    def _due(self, number: int) -> float:
        return (self._started or 0.0) + float(self._times[number])


@dataclass(frozen=True)
class Check:
    """Seconds from due to verdict at `SHARES`, as measured and as the formula has them."""

    utilisation: float
    rate: float
    measured: tuple[float, ...]
    expected: tuple[float, ...]


def check(key: str, folder: Path, count: int) -> Iterator[Check]:
    """The monitor at shares of what it can do on this machine's cores."""
    workload = WORKLOADS[key]
    inspector = Inspector(Model.load(workload.trained(folder), "cpu", 0))
    frames = workload.frames(folder, count)
    cores = available_cores()
    run(inspector, Memory(frames[: count // 4]), count // 4)  # warm
    started = time.monotonic()
    run(inspector, Memory(frames), count)
    capacity = count / (time.monotonic() - started)
    few = frames[: count // 20]
    alone = float(np.median(run(inspector, Irregular(few, ALONE * capacity, 0), len(few))))
    for number, utilisation in enumerate(UTILISATIONS):
        rate = utilisation * capacity
        late = run(inspector, Irregular(frames, rate, number + 1), count)
        service = cores / capacity
        expected = tuple(alone + service * wait_quantile(cores, utilisation, share) for share in SHARES)
        yield Check(utilisation, rate, tuple(np.quantile(late, SHARES).tolist()), expected)


def run(inspector: Inspector, source: Memory, count: int) -> list[float]:
    """Seconds from due to verdict of each frame."""
    counter = Counter(count)
    Pipeline(source, inspector, [counter]).run()
    return counter.latencies
