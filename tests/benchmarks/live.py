"""A line to measure, as a factory has it: a real Kafka, monitors as processes, frames that come when they are due."""

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.benchmarks.startup import processor_seconds
from tests.benchmarks.workloads import Workload
from tests.fixtures.broker import load_broker
from tests.fixtures.kafka_line import Line, Monitor

# As the monitor has them by default; a line of the tests is quicker to give a member up, for its own reasons.
USUAL = ("kafka.session_timeout=10", "kafka.request_timeout=10", "kafka.rebalance_timeout=5", "model.provider=cpu")
SCRAPE = 15.0  # seconds between looks at the metrics, as Prometheus has them


@dataclass(frozen=True)
class Arrival:
    """A verdict as a consumer sees it: camera, when it came, and how long after its frame was due, in seconds."""

    camera: str
    at: float
    late: float


class Reader:
    """Reads the verdicts of a line from now on, in a thread of its own."""

    def __init__(self, line: Line) -> None:
        self.arrivals: list[Arrival] = []
        self._consumer = KafkaConsumer(bootstrap_servers=line.servers, auto_offset_reset="earliest")
        self._consumer.assign([TopicPartition(line.verdicts, partition) for partition in range(line.partitions)])
        self._closing = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, count: int, seconds: float) -> None:
        """Until there are `count` verdicts. Raises TimeoutError."""
        wait_until(lambda: len(self.arrivals) >= count, f"{count} verdicts", seconds)

    def close(self) -> None:
        """Read no more."""
        self._closing = True
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._closing:
            records = [record for batch in self._consumer.poll(100).values() for record in batch]
            now = time.time()
            for record in records:
                # The record's time is the frame's, which is when it was due.
                self.arrivals.append(Arrival(record.key.decode(), now, now - record.timestamp / 1000))


def encoded(workload: Workload, folder: Path) -> list[bytes]:
    """Its different images, as files."""
    return [path.read_bytes() for path in sorted(workload.images(folder).iterdir())]


@contextmanager
def line(workload: Workload, folder: Path, partitions: int, servers: str) -> Iterator[tuple[Line, Reader]]:
    """Topics of its own on a broker, and who reads the verdicts."""
    made = Line(
        servers, f"{workload.key}-{time.time_ns()}", workload.trained(folder), folder, partitions, preloaded=False
    )
    reader = Reader(made)
    try:
        yield made, reader
    finally:
        reader.close()


def send(line: Line, images: Sequence[bytes], cameras: int, rate: float, count: int) -> None:
    """`count` frames, `rate` a second, of cameras that take turns; each bears the time at which it was due."""
    producer = KafkaProducer(bootstrap_servers=line.servers, max_request_size=2**25)
    started = time.time()
    for i in range(count):
        due = started + i / rate
        time.sleep(max(0.0, due - time.time()))
        key = f"station-{i % cameras}".encode()
        producer.send(line.frames, value=images[i % len(images)], key=key, timestamp_ms=round(due * 1000))
    producer.flush()
    producer.close()


@dataclass(frozen=True)
class Usage:
    """A process at a moment: seconds since 1970, processor seconds so far, resident memory in bytes."""

    at: float
    cpu: float
    memory: int

    @classmethod
    def of(cls, monitor: Monitor) -> "Usage":
        """As the kernel counts it."""
        pages = int(Path(f"/proc/{monitor.process.pid}/statm").read_text().split()[1])
        return cls(time.time(), processor_seconds(monitor.process.pid), pages * 4096)


@dataclass
class Watch:
    """Looks at a monitor every `interval` seconds while frames come, and at its metrics as Prometheus would."""

    monitor: Monitor
    port: int
    interval: float
    seen: list[Usage] = field(default_factory=list)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """From now until the block ends."""
        ended = threading.Event()
        threads = [
            threading.Thread(target=self._every, args=(ended, self.interval, self._look), daemon=True),
            threading.Thread(target=self._every, args=(ended, SCRAPE, self._scrape), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def _every(self, ended: threading.Event, interval: float, act: Callable[[], None]) -> None:
        while not ended.wait(interval):
            act()

    def _look(self) -> None:
        self.seen.append(Usage.of(self.monitor))

    def _scrape(self) -> None:
        scrape(self.port)


def scrape(port: int) -> str:
    """A monitor's metrics, nothing where it does not answer yet."""
    try:
        answer: bytes = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read()
    except OSError:
        return ""
    return answer.decode()


def metric(port: int, name: str) -> float:
    """The value of a metric without labels; 0 where there is none yet."""
    values = [line.split()[1] for line in scrape(port).splitlines() if line.startswith(f"{name} ")]
    return float(values[0]) if values else 0.0


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on."""
    ports: list[int] = load_broker().free_ports(count)
    return ports


def wait_until(true: Callable[[], bool], what: str, seconds: float) -> None:
    """Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for: {what}")
        time.sleep(0.02)
