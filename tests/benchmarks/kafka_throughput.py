"""The same frames inspected from memory and through a real Kafka, one after the other in one process.

python -m tests.benchmarks.kafka_throughput --model part.onnx --frames part/stream [--count 1000]
"""

import argparse
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from kafka import KafkaProducer

from monitor.frames import Frame, Position
from monitor.inspection import Inspection, Inspector
from monitor.kafka.address import parse_address
from monitor.kafka.opening import Kafka
from monitor.kafka.topics import create, plan
from monitor.metrics import Metrics
from monitor.model import Model
from monitor.pipeline import Limits, Pipeline
from monitor.settings import KafkaSettings, Settings, load_settings
from monitor.sinks import Sink
from monitor.sources import Source, open_source
from tests.monitor.kafka.conftest import load_broker


class Memory:
    """Frames that are there already."""

    name, live, ready = "memory", True, True

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.length: int | None = len(frames)
        self._frames = list(frames)

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        taken, self._frames = self._frames[:capacity], self._frames[capacity:]
        return taken if taken or capacity == 0 else None

    def acknowledge(self, frames: Sequence[Frame]) -> None: ...

    def close(self) -> None: ...


class Nowhere:
    """Counts verdicts; stops the pipeline after the last."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.pipeline: Pipeline | None = None

    def write(self, inspections: Sequence[Inspection]) -> None:
        self._left -= len(inspections)
        if self._left <= 0 and self.pipeline is not None:
            self.pipeline.stop()

    def close(self, complete: bool) -> None: ...


def measure(source: Source, sinks: list[Sink], inspector: Inspector, count: int) -> tuple[float, dict[str, float]]:
    """Frames a second, and seconds that each stage was busy."""
    metrics, counter = Metrics(), Nowhere(count)
    pipeline = counter.pipeline = Pipeline(source, inspector, [*sinks, counter], metrics, Limits())
    started = time.monotonic()
    pipeline.run()
    seconds = time.monotonic() - started
    busy = {
        sample.name: sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if re.fullmatch(r"andon_(decode|inference|publish|queue_wait)_seconds_sum", sample.name)
    }
    return count / seconds, busy


@contextmanager
def kafka_line(settings: Settings) -> Iterator[tuple[Source, Sink]]:
    """Source and sink of a monitor on Kafka; it joins its group within the time measured."""
    kafka = Kafka(settings, Metrics())
    source = kafka.open_source(settings.source.uri or "")
    sink = kafka.open_verdicts(settings.output.verdicts)
    try:
        yield source, sink
    finally:
        sink.close(True)
        source.close()
        kafka.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    found = open_source(arguments.frames).poll(10_000, 1) or []
    frames = [
        replace(found[i % len(found)], position=Position("memory", "frames", 0, i)) for i in range(arguments.count)
    ]
    inspector = Inspector(Model.load(arguments.model, "cpu"))
    size = sum(len(frame.data) for frame in frames) / len(frames)
    print(f"{len(frames)} frames of {size / 1000:.0f} kB on average")
    with tempfile.TemporaryDirectory(prefix="andon-throughput-") as folder, ExitStack() as stack:
        node = load_broker().Cluster(Path(folder))
        stack.callback(node.stop)
        node.start()
        address = parse_address(f"kafka://{node.servers}/frames")
        topics = plan("frames", "verdicts", "andon.dead-letters", 4, KafkaSettings())
        list(create(address, topics, KafkaSettings()))
        producer = KafkaProducer(bootstrap_servers=node.servers, max_request_size=2**25)
        for frame in frames:
            producer.send("frames", value=frame.data, key=frame.camera.encode())
        producer.flush()
        producer.close()
        memory, busy = measure(Memory(frames), [], inspector, len(frames))
        print(f"{'memory':<15}{memory:8.1f} frames/s          {busy}")
        for delivery in ("at-least-once", "exactly-once"):
            given = {
                "source.uri": str(address),
                "output.verdicts": str(address.with_topic("verdicts")),
                "kafka.delivery": delivery,
                "kafka.group_id": delivery,
            }
            with kafka_line(load_settings(given, None)) as (source, sink):
                rate, busy = measure(source, [sink], inspector, len(frames))
            print(f"{delivery:<15}{rate:8.1f} frames/s, {rate / memory:.2f} x {busy}")


if __name__ == "__main__":
    main()
