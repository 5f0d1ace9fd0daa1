"""`andon-monitor tune`: measures which settings inspect the most frames per second on this machine."""

import statistics
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from andon_monitor.common.cores import available_cores
from andon_monitor.common.files import write_whole
from andon_monitor.inspection.frames import Frame
from andon_monitor.model.runtime import onnxruntime
from andon_monitor.model.session import PROVIDERS
from andon_monitor.recipes.library import open_strictly
from andon_monitor.run.assembly import open_source
from andon_monitor.run.pipeline import Finder, Pipeline, PipelineLimits
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import nested
from andon_monitor.telemetry.metrics import Metrics

FRAMES = 64  # different frames from the source, which are inspected repeatedly
MIN_FRAMES = 8  # of one measurement
# Ratio of rates. A smaller gain is not worth more threads or larger batches: equal runs differ by as much.
MIN_GAIN = 1.03
MIN_IN_FLIGHT = 32  # frames: this many verdicts can share one acknowledgement
IN_FLIGHT_FACTOR = 4  # per thread or batch: one is scored, one is delivered, two wait
GPU_BATCH_SIZES = (16, 32, 64)

Values = Mapping[str, Any]  # settings by dotted key


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and their frames per second in each round."""

    values: Values
    rates: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.rates)


class Repeated:
    """A source of `count` frames, which repeats the given ones."""

    name, live, ready = "repeated", False, True
    damage: str | None = None
    passed_over: str | None = None

    def __init__(self, frames: Sequence[Frame], count: int) -> None:
        self.length: int | None = count
        self._frames = frames
        self._given = 0

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """See `Source.poll`."""
        assert self.length is not None
        numbers = range(self._given, min(self.length, self._given + capacity))
        self._given += len(numbers)
        return [self._frames[number % len(self._frames)] for number in numbers] or (None if capacity else [])

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def tune(settings: Settings, seconds: float, rounds: int, progress: Callable[[float], None]) -> list[Trial]:
    """Measure every candidate in each of `rounds` rounds, for about `seconds` each; the best comes first.

    All candidates are measured in each round, so that other load on the machine affects all of them. Among candidates
    within `MIN_GAIN` of the fastest, the best has the fewest threads or the smallest batch. `progress` gets the share
    done. Raises UsageError (no frames, no model) and ModelError.
    """
    frames = read_frames(settings)
    candidates = list(propose(settings))
    tried = [with_values(settings, values) for values in candidates]
    libraries = [open_strictly(candidate) for candidate in tried]
    rates: list[list[float]] = [[] for _ in candidates]
    counts = [MIN_FRAMES] * len(candidates)
    for turn in range(rounds + 1):  # the first warms up, and gives the number of frames for `seconds`
        for i, library in enumerate(libraries):
            rate = measure(tried[i], library, frames, counts[i])
            if turn:
                rates[i].append(rate)
            counts[i] = max(MIN_FRAMES, round(rate * seconds))
            progress((turn * len(candidates) + i + 1) / ((rounds + 1) * len(candidates)))
    trials = [Trial(values, tuple(found)) for values, found in zip(candidates, rates, strict=True)]
    enough = max(trial.rate for trial in trials) / MIN_GAIN
    best = next(trial for trial in trials if trial.rate >= enough)  # candidates come with the smallest first
    return [best, *sorted((trial for trial in trials if trial is not best), key=lambda trial: -trial.rate)]


def propose(settings: Settings) -> Iterator[Values]:
    """Candidates, the smallest first: numbers of threads on a CPU, batch sizes on a GPU."""
    cores = available_cores()
    steps = sorted({1, cores // 2, cores} - {0})
    for name in PROVIDERS:
        if PROVIDERS[name][0][0] not in onnxruntime.get_available_providers():
            continue
        if settings.model.provider not in ("auto", name):
            continue
        first = {"model.provider": name}
        if name == "cpu":
            for threads in steps:
                in_flight = max(MIN_IN_FLIGHT, IN_FLIGHT_FACTOR * threads)
                yield first | {"model.threads": threads, "inspection.in_flight": in_flight}
        else:
            for batch_size in GPU_BATCH_SIZES:
                yield first | {
                    "model.threads": cores,
                    "inspection.batch_size": batch_size,
                    "inspection.in_flight": IN_FLIGHT_FACTOR * batch_size,
                }


def measure(settings: Settings, inspectors: Finder, frames: Sequence[Frame], count: int) -> float:
    """Frames per second, from memory to verdicts."""
    pipeline = Pipeline(Repeated(frames, count), inspectors, [], Metrics(), PipelineLimits.from_settings(settings))
    started = time.monotonic()
    pipeline.run()
    return count / (time.monotonic() - started)


def read_frames(settings: Settings) -> list[Frame]:
    """The first frames of the source. Raises UsageError, SourceError."""
    source = open_source(settings)
    try:
        frames: list[Frame] = []
        while len(frames) < FRAMES and (some := source.poll(FRAMES - len(frames), 1.0)) is not None:
            frames += some
        return frames
    finally:
        source.close()


def with_values(settings: Settings, values: Values) -> Settings:
    """The settings with some replaced."""
    groups = nested(values).items()
    changed = {group: getattr(settings, group).model_copy(update=fields) for group, fields in groups}
    return settings.model_copy(update=changed)


def write_settings(config: Path | None, values: Values, path: Path) -> None:
    """Write a settings file: that of `config`, if any, with `values` in it. Raises OutputError."""
    content: dict[str, Any] = {} if config is None else yaml.safe_load(config.read_bytes()) or {}
    for group, fields in nested(values).items():
        content[group] = {**(content.get(group) or {}), **fields}
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
