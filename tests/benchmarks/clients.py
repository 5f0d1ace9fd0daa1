"""Kafka alone: kafka-python, which the monitor uses, and confluent-kafka, for frames of the benches' sizes.

python -m tests.benchmarks.clients [--rounds 3]    with confluent-kafka: pip install '.[bench]'

Each measurement is a process of its own on a real broker of one node: `count` frames in, every one acknowledged, or out
again from the first to the last, with the settings that the monitor gives its own client. The clients take
turns in every round. Prints medians with their range, processor time of all threads of the client, and writes JSON.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.connection import producer_options
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from tests.benchmarks.live import encoded
from tests.benchmarks.throughput import PARTITIONS, broker
from tests.benchmarks.workloads import WORKLOADS

KEYS = ("grey-jpeg-small", "colour-jpeg-small", "grey-png-small")
LINGER_MS = 5  # librdkafka's own; kafka-python does not wait by default, and frames fill a batch by themselves


@dataclass(frozen=True)
class Job:
    """What to measure: `count` records of a workload, to or from `topic`."""

    client: str
    action: str
    workload: str
    folder: str
    servers: str
    topic: str
    count: int


@dataclass(frozen=True)
class Measurement:
    """Records a second, and processor seconds for each."""

    rate: float
    cpu: float


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--count", type=int, default=2000, help="frames of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.job:
        print(json.dumps(asdict(measure(Job(**json.loads(given.job))))))
        return
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        sys.exit("error: no confluent-kafka here; pip install '.[bench]'")
    folder: Path = given.folder.resolve()
    (folder / "clients").mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"started": time.strftime("%Y-%m-%d %H:%M")}
    print(f"{'frames':<22}{'':<9}{'client':<17}{'frames/s (range)':>24}{'CPU ms/frame':>14}{'of kafka-python':>17}")
    with broker(folder / "clients") as servers:
        for key in KEYS:
            results[key] = take_turns(key, folder, servers, given.count, given.rounds)
            show(key, folder, results[key])
            (folder / "clients.json").write_text(json.dumps(results, indent=1))
    print(f"\n{folder / 'clients.json'}")


def take_turns(key: str, folder: Path, servers: str, count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Both clients in each round: in, and out again. By action and client."""
    found: dict[str, list[dict[str, float]]] = {}
    for turn in range(rounds):
        for client in CLIENTS:
            topic = f"{key}-{client}-{turn}"
            address = parse_address(f"kafka://{servers}/{topic}")
            topics = plan(topic, f"{topic}-verdicts", "andon.dead-letters", PARTITIONS, KafkaSettings())
            list(create(address, topics, KafkaSettings()))
            for action in ("produce", "consume"):
                job = json.dumps(asdict(Job(client, action, key, str(folder), servers, topic, count)))
                command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.clients", "--job", job]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found.setdefault(f"{action} {client}", []).append(json.loads(done.stdout.splitlines()[-1]))
            admin = KafkaAdminClient(bootstrap_servers=servers)
            admin.delete_topics([topic])  # hundreds of megabytes
            admin.close()
    return found


def show(key: str, folder: Path, found: dict[str, list[dict[str, float]]]) -> None:
    """The lines of one workload."""
    images = encoded(WORKLOADS[key], folder)
    size = sum(map(len, images)) / len(images) / 1000
    for name, items in found.items():
        action, client = name.split()
        rates = [item["rate"] for item in items]
        spread = f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"
        alone = found[f"{action} kafka-python"]
        ratio = statistics.median(item["rate"] / own["rate"] for item, own in zip(items, alone, strict=True))
        cpu = 1000 * statistics.median(item["cpu"] for item in items)
        what = f"{WORKLOADS[key].name}, {size:.0f} kB"
        print(f"{what:<22}{action:<9}{client:<17}{spread:>24}{cpu:>14.2f}{ratio:>17.2f}", flush=True)


def measure(job: Job) -> Measurement:
    """Do it, here and now."""
    act = CLIENTS[job.client][("produce", "consume").index(job.action)]
    started, cpu, count = act(job)
    return Measurement(count / (time.monotonic() - started), (time.process_time() - cpu) / count)


def records(job: Job) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values to send."""
    images = encoded(WORKLOADS[job.workload], Path(job.folder))
    return ((f"station-{i % (4 * PARTITIONS)}".encode(), images[i % len(images)]) for i in range(job.count))


Begun = tuple[float, float, int]  # the clocks when the measurement began, and how many records there were after it


def produce_python(job: Job) -> Begun:
    """Send and wait for every acknowledgement."""
    address = parse_address(f"kafka://{job.servers}/{job.topic}")
    producer = KafkaProducer(**producer_options(KafkaSettings(), address))
    first, *given = records(job)
    producer.send(job.topic, key=first[0], value=first[1]).get(timeout=60)  # connected, with a producer's id
    begun = time.monotonic(), time.process_time(), len(given)
    futures = [producer.send(job.topic, key=key, value=value) for key, value in given]
    for future in futures:
        future.get(timeout=60)
    return begun


def produce_confluent(job: Job) -> Begun:
    """The same with librdkafka."""
    from confluent_kafka import Producer

    settings = KafkaSettings()
    producer = Producer(
        {
            "bootstrap.servers": job.servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": LINGER_MS,
            "message.max.bytes": settings.max_message_bytes,
        }
    )
    first, *given = records(job)
    failures: list[Any] = []

    def note_failure(error: Any, _: Any) -> None:
        if error:
            failures.append(error)

    def send(key: bytes, value: bytes) -> None:
        producer.produce(job.topic, key=key, value=value, on_delivery=note_failure)
        producer.poll(0)

    def settle() -> None:
        if producer.flush(60) or failures:
            sys.exit(f"error: not delivered: {failures[:1]}")

    send(*first)
    settle()
    begun = time.monotonic(), time.process_time(), len(given)
    for key, value in given:
        send(key, value)
    settle()
    return begun


def consume_python(job: Job) -> Begun:
    """From the first records to the last."""
    settings = KafkaSettings()
    consumer = KafkaConsumer(
        bootstrap_servers=job.servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_poll_records=settings.poll_records,
        max_partition_fetch_bytes=settings.max_message_bytes,
        fetch_max_bytes=settings.fetch_bytes,
    )
    consumer.assign([TopicPartition(job.topic, partition) for partition in range(PARTITIONS)])
    return until_all(job.count, lambda: [r.value for batch in consumer.poll(500).values() for r in batch])


def consume_confluent(job: Job) -> Begun:
    """The same with librdkafka, which checks no checksums unless it is asked to."""
    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as Partition

    settings = KafkaSettings()
    consumer = Consumer(
        {
            "bootstrap.servers": job.servers,
            "group.id": job.topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "check.crcs": True,
            "max.partition.fetch.bytes": settings.max_message_bytes,
            "fetch.max.bytes": settings.fetch_bytes,
        }
    )
    consumer.assign([Partition(job.topic, partition, 0) for partition in range(PARTITIONS)])
    return until_all(job.count, lambda: [m.value() for m in consumer.consume(settings.poll_records, 0.5)])


def until_all(count: int, poll: Callable[[], list[bytes]]) -> Begun:
    """Poll until all records have come; the clocks begin with the first, for which there had to be a connection."""
    seen = 0
    while not seen:
        seen += len(poll())
    begun = time.monotonic(), time.process_time(), count - seen
    while seen < count:
        seen += len(poll())
    return begun


CLIENTS: dict[str, tuple[Callable[[Job], Begun], Callable[[Job], Begun]]] = {
    "kafka-python": (produce_python, consume_python),
    "confluent-kafka": (produce_confluent, consume_confluent),
}


if __name__ == "__main__":
    main()
