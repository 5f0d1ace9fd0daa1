"""One way of getting frames inspected, measured in a process of its own: python -m tests.benchmarks.ways JOB (as JSON).

    bare        the limit, see `limit`
    plain       what a textbook shows: one frame after the other, with the library's defaults
    memory      the monitor, frames in memory
    recording   the monitor, a recording of them
    kafka       the monitor between two topics of a real broker, at least once
    open        the monitor, frames in memory that come at a given rate whether or not it keeps up
    peak        no frames: a matrix product, which says how much arithmetic this machine could do

The monitor is put together as `andon-monitor run` does it, with its charts, its summary and a file of verdicts.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.file import Model
from andon_monitor.run.pipeline import Pipeline, PipelineLimits
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import load_settings
from andon_monitor.sinks.base import Sink
from andon_monitor.sinks.summary import Summary
from andon_monitor.sinks.uri import open_sink
from andon_monitor.sources.base import Source
from andon_monitor.sources.uri import open_source
from andon_monitor.statistics.charts import ControlCharts
from andon_monitor.statistics.frozen import FrozenPictures
from andon_monitor.telemetry.metrics import Metrics

from tests.benchmarks.flops import peak_flops
from tests.benchmarks.limit import SETTINGS, Bare, Plain
from tests.benchmarks.line import Counter, Memory
from tests.benchmarks.workloads import WORKLOADS

WARM = 0.2  # share of the frames that is not measured: threads start, a consumer joins its group


@dataclass(frozen=True)
class Job:
    """What to measure. `target` is a recording, or host:port of a broker whose topic `workload` holds the frames."""

    way: str
    workload: str
    folder: str
    count: int
    setting: int = 0  # of the bare loop
    rate: float = 0.0  # frames a second, of the open loop
    target: str = ""


@dataclass(frozen=True)
class Measurement:
    """Frames a second (of `peak`: operations), processor seconds a frame, peak memory in bytes.

    `late`, of the open loop: seconds from the moment a frame was due to its verdict, for each frame. `elsewhere`: the
    share of all cores that other programs had meanwhile, on a virtual machine its neighbours, too.
    """

    rate: float
    cpu: float
    memory: int
    late: tuple[float, ...] = ()
    elsewhere: float = 0.0


def measure(job: Job) -> Measurement:
    """Do it, here and now."""
    if job.way == "peak":
        return Measurement(peak_flops(), 0.0, peak())
    workload = WORKLOADS[job.workload]
    folder = Path(job.folder)
    model = workload.trained(folder)
    if job.way in ("bare", "plain"):
        loop = Bare(model, SETTINGS[job.setting]) if job.way == "bare" else Plain(model)
        return measure_loop(loop, workload.frames(folder, job.count))
    given = {"model.path": model, "model.provider": "cpu", "server.enabled": False}
    if job.way == "kafka":
        topic = f"kafka://{job.target}/{job.workload}"
        group = f"{job.workload}-{time.time_ns()}"
        given |= {"source.uri": topic, "output.verdicts": f"{topic}-verdicts", "kafka.group_id": group}
    settings = load_settings(given, None)
    with TemporaryDirectory() as name, ends(job, settings, folder, Path(name) / "verdicts.jsonl") as (source, sink):
        return measure_monitor(settings, source, sink, job)


def measure_loop(loop: Bare | Plain, frames: Sequence[Frame]) -> Measurement:
    """A loop without a monitor."""
    first = int(WARM * len(frames))
    loop.run(frames[:first])
    begun = clocks()
    done = loop.run(frames[first:])
    seconds, cpu, busy = np.subtract(clocks(), begun)
    return Measurement(done / seconds, cpu / done, peak(), elsewhere=share_elsewhere(seconds, cpu, busy))


@contextmanager
def ends(job: Job, settings: Settings, folder: Path, verdicts: Path) -> Iterator[tuple[Source, Sink]]:
    """Where frames come from and where verdicts go."""
    if job.way == "kafka":
        from andon_monitor.kafka.endpoints import Kafka

        kafka = Kafka(settings, Metrics())
        source: Source = kafka.open_source(settings.source.uri or "")
        sink = kafka.open_verdicts(settings.output.verdicts)
    elif job.way == "recording":
        source, sink = open_source(job.target), open_sink(str(verdicts), append=False)
    else:
        interval = 1 / job.rate if job.rate else 0.0
        source = Memory(WORKLOADS[job.workload].frames(folder, job.count), interval)
        sink = open_sink(str(verdicts), append=False)
    try:
        yield source, sink
    finally:
        sink.close("complete")
        source.close()


class Clock(Counter):
    """A sink that notes when the measured part begins, and what it cost."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.begun: tuple[float, ...] | None = None  # verdicts so far, and `clocks`

    def write(self, inspections: Sequence[object]) -> None:
        """Take note."""
        super().write(inspections)
        if self.begun is None and len(self.latencies) >= WARM * self._count:
            self.begun = len(self.latencies), *clocks()
        if len(self.latencies) >= self._count:
            self.ended = len(self.latencies), *clocks()


def clocks() -> tuple[float, float, float]:
    """Seconds: the time, that of the processor for this program, and that of all cores for anybody."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _waiting, *others = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[:8])
    return time.monotonic(), time.process_time(), user + nice + system + sum(others)


def share_elsewhere(seconds: float, cpu: float, busy: float) -> float:
    """The share of all cores that others had, between two readings of `clocks`."""
    return round(max(busy - cpu, 0.0) / (seconds * (os.cpu_count() or 1)), 4)


def measure_monitor(settings: Settings, source: Source, sink: Sink, job: Job) -> Measurement:
    """The monitor, from its first verdicts to its last."""
    metrics = Metrics()
    inspector = Inspector(Model.load(settings.model.path or Path(), "cpu", settings.model.threads))
    metrics.use_model(inspector)
    clock = Clock(job.count)
    observers: list[Sink] = [
        ControlCharts(settings.statistics, [inspector], metrics),
        FrozenPictures(settings.statistics, metrics),
        Summary(inspector.model.card.calibration.false_alarm_rate),
    ]
    pipeline = Pipeline(source, inspector, [sink, *observers, clock], metrics, PipelineLimits.from_settings(settings))
    clock.pipeline = pipeline
    pipeline.run()
    assert clock.begun is not None
    frames, seconds, cpu, busy = np.subtract(clock.ended, clock.begun)
    late = tuple(round(each, 5) for each in clock.latencies[int(clock.begun[0]) :]) if job.rate else ()
    return Measurement(frames / seconds, cpu / frames, peak(), late, share_elsewhere(seconds, cpu, busy))


def peak() -> int:
    """Most memory that this program has had, in bytes; getrusage says no less than what its parent had."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Job(**json.loads(sys.argv[1]))))))
