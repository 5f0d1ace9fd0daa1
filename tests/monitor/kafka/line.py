"""A line on a real broker: topics of its own, frames in, monitors as processes, verdicts out."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

# What a session takes to be noticed as gone decides how long these tests take.
QUICK = ("kafka.session_timeout=3", "kafka.request_timeout=4", "kafka.rebalance_timeout=2")


@dataclass
class Line:
    """Topics named after `name` on `servers`; records are read as a reader of committed data sees them."""

    servers: str
    name: str
    model: Path
    folder: Path
    partitions: int = 4

    def __post_init__(self) -> None:
        names = [f"{self.name}.{what}" for what in ("frames", "verdicts", "letters", "defects", "labels")]
        self.frames, self.verdicts, self.letters, self.defects, self.labels = names
        self.create()
        self._monitors = 0

    def uri(self, topic: str) -> str:
        """As the command line takes it."""
        return f"kafka://{self.servers}/{topic}"

    def create(self) -> None:
        """All topics of a line, kept however old their timestamps are."""
        address = parse_address(self.uri(self.frames))
        settings = KafkaSettings()
        topics = plan(self.frames, self.verdicts, self.letters, self.partitions, settings, self.defects, self.labels)
        list(create(address, [replace(topic, retention_ms=-1) for topic in topics], settings))

    def send(self, values: Sequence[bytes], cameras: Sequence[str] = ("left", "right"), **fields: Any) -> None:
        """Frames as any producer might send them, without headers, cameras taking turns."""
        producer = KafkaProducer(bootstrap_servers=self.servers, max_request_size=2**25)
        futures = [
            producer.send(self.frames, value=value, key=cameras[i % len(cameras)].encode(), **fields)
            for i, value in enumerate(values)
        ]
        for future in futures:
            future.get(timeout=30)
        producer.close()

    @contextmanager
    def monitor(self, *settings: str, port: int | None = None) -> Iterator["Monitor"]:
        """A monitor at work, with metrics at `port`; ended with SIGKILL where it still is there at the end."""
        self._monitors += 1
        log = self.folder / f"monitor-{self._monitors}.log"
        command = [sys.executable, "-m", "andon_monitor", "run"]
        command += ["--no-server"] if port is None else ["--port", str(port)]
        command += ["--model", str(self.model), "--source", self.uri(self.frames)]
        command += ["--verdicts", self.uri(self.verdicts), "--dead-letters", self.uri(self.letters)]
        for setting in (f"kafka.group_id={self.name}", *QUICK, *settings):
            command += ["--set", setting]
        with log.open("w") as file:
            process = subprocess.Popen(command, stderr=file, stdout=file, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        monitor = Monitor(process, log)
        try:
            yield monitor
        finally:
            monitor.kill()

    def read(self, topic: str, count: int, seconds: float = 40, extra: float = 0.0) -> list[Any]:
        """The topic's records from its start until there are `count`, then whatever comes in `extra` seconds."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.servers, isolation_level="read_committed", auto_offset_reset="earliest"
        )
        try:
            partitions = consumer.partitions_for_topic(topic) or set()
            consumer.assign([TopicPartition(topic, partition) for partition in partitions])
            records: list[Any] = []
            deadline = time.monotonic() + seconds
            while len(records) < count and time.monotonic() < deadline:
                records += [record for batch in consumer.poll(200).values() for record in batch]
            deadline = time.monotonic() + extra
            while time.monotonic() < deadline:
                records += [record for batch in consumer.poll(200).values() for record in batch]
            return records
        finally:
            consumer.close()

    def read_verdicts(self, count: int, seconds: float = 40, extra: float = 0.0) -> list[dict[str, Any]]:
        """What `read` gives of the verdicts' topic, parsed."""
        return [json.loads(record.value) for record in self.read(self.verdicts, count, seconds, extra)]

    def read_answers(self, frames: int, seconds: float = 60) -> list[dict[str, Any]]:
        """Verdicts until so many frames have one, and what follows within half a second: duplicates too."""
        deadline, wanted = time.monotonic() + seconds, frames
        while True:
            verdicts = self.read_verdicts(wanted, deadline - time.monotonic(), extra=0.5)
            answered = len(set(positions(verdicts)))
            if answered >= frames or time.monotonic() > deadline:
                return verdicts
            wanted = len(verdicts) + frames - answered


@dataclass
class Monitor:
    """A monitor's process and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Until its log says so."""
        deadline = time.monotonic() + seconds
        while text not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, f"{text!r} is not in: {self.log.read_text()[-2000:]}"
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """SIGTERM, SIGSTOP, SIGCONT."""
        self.process.send_signal(number)

    def end(self, seconds: float = 30) -> int:
        """Its exit status."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """As the kernel does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def positions(verdicts: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """Partition and offset of each verdict's frame."""
    return [(verdict["frame"]["partition"], verdict["frame"]["offset"]) for verdict in verdicts]


def out_of_order(records: Sequence[dict[str, Any]]) -> int:
    """How often a frame was first answered after a later one of its partition; redelivery in order is none."""
    highest: dict[int, int] = {}
    seen: set[tuple[int, int]] = set()
    count = 0
    for partition, offset in positions(records):
        if (partition, offset) not in seen:
            seen.add((partition, offset))
            count += offset < highest.get(partition, -1)
            highest[partition] = max(offset, highest.get(partition, -1))
    return count
