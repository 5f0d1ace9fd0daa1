"""A line in memory: frames that are there already, or that come when they are due, and who counts their verdicts."""

import time
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from andon_monitor.common.process import Ending
from andon_monitor.inspection.frames import Frame, Position
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.run.pipeline import Pipeline
from andon_monitor.sources.uri import open_source
from numpy.typing import NDArray


class Memory:
    """A source of frames in memory.

    With `interval`, frame i is due at i * `interval` seconds after the first poll, whether or not the ones before are
    answered (an open loop), and that is its capture time: what waits because others are slow is late itself.
    """

    name, live, ready = "memory", True, True
    damage: str | None = None
    passed_over: str | None = None

    def __init__(self, frames: Sequence[Frame], interval: float = 0.0) -> None:
        self.length: int | None = len(frames)
        self._frames = frames
        self._interval = interval
        self._given = 0
        self._started: float | None = None

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """See `Source.poll`."""
        self._started = self._started or time.time()
        if self._given == len(self._frames):
            return None if capacity else []
        if not self._interval:
            return self._take(capacity)
        time.sleep(min(timeout, max(0.0, self._due(self._given) - time.time())))
        due = int((time.time() - self._started) / self._interval) + 1 - self._given
        return [replace(f, captured_at=self._due(f.position.offset)) for f in self._take(min(capacity, due))]

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Nothing to note."""

    def close(self) -> None:
        """Does nothing."""

    def _due(self, number: int) -> float:
        return (self._started or 0.0) + number * self._interval

    def _take(self, count: int) -> list[Frame]:
        taken = list(self._frames[self._given : self._given + max(0, count)])
        self._given += len(taken)
        return taken


class Counter:
    """A sink that keeps each frame's latency and, where a pipeline is given, stops it after `count` verdicts."""

    def __init__(self, count: int) -> None:
        self.latencies: list[float] = []
        self.pipeline: Pipeline | None = None
        self._count = count

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Take note."""
        now = time.time()
        self.latencies += [now - inspection.frame.captured_at for inspection in inspections]
        if len(self.latencies) >= self._count and self.pipeline is not None:
            self.pipeline.stop()

    def close(self, ending: Ending) -> None:
        """Nothing to finish."""


def repeated(source: str, count: int) -> list[Frame]:
    """`count` frames, those of a source again and again, numbered."""
    found = open_source(source).poll(count, 1) or []
    return [replace(found[i % len(found)], position=Position("memory", "frames", 0, i)) for i in range(count)]


def milliseconds(seconds: Sequence[float] | NDArray[np.float64]) -> str:
    """Median, 99th percentile and largest of times, in milliseconds."""
    p50, p99, most = 1000 * np.percentile(seconds, [50, 99, 100])
    return f"{p50:6.1f} {p99:7.1f} {most:7.1f}"
