"""The monitor beside the limit of its libraries: python -m tests.benchmarks.throughput [--rounds 5] (make bench).

Each way (see `ways`) is a process of its own, and the ways take turns in every round, so that whatever else the machine
does meets all of them. Prints medians with their range, and ratios to the bare loop of the same round; writes JSON.
Frames, models and recordings stay in build/bench; models are trained at the first run.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from monitor.kafka.address import parse_address
from monitor.kafka.topics import create, plan
from monitor.recording.writing import RecordingWriter
from monitor.settings import KafkaSettings
from tests.benchmarks.limit import SETTINGS
from tests.benchmarks.ways import Job, Measurement
from tests.benchmarks.workloads import WORKLOADS, Workload
from tests.monitor.kafka.conftest import load_broker

WAYS = ("bare", "memory", "recording", "kafka", "plain")
LOADS = (0.5, 0.8)  # of what the monitor does from memory
PARTITIONS = 4
BATCH_WAIT_MS = 5  # inspection.batch_wait's default


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be given again")
    parser.add_argument("--count", type=int, default=400, help="frames of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"started": time.strftime("%Y-%m-%d %H:%M"), "rounds": arguments.rounds}
    with broker(folder) as servers:
        for key in arguments.workload or WORKLOADS:
            workload = WORKLOADS[key]
            workload.trained(folder)
            targets = {"recording": record(workload, folder, arguments.count), "kafka": servers}
            send(workload, folder, arguments.count, servers)
            job = Job("bare", key, str(folder), arguments.count)
            found = take_turns(job, targets, arguments.rounds)
            show(key, found)
            results[key] = {way: [asdict(item) for item in items] for way, items in found.items()}
            (folder / "throughput.json").write_text(json.dumps(results, indent=1))
    print(f"\n{folder / 'throughput.json'}")


def take_turns(bare: Job, targets: dict[str, str], rounds: int) -> dict[str, list[Measurement]]:
    """Every way in every round; the bare loop with the setting that is best here, the open loop at each load."""
    settings = range(len(SETTINGS))
    best = max(settings, key=lambda i: measure(Job(**asdict(bare) | {"setting": i})).rate)
    found: dict[str, list[Measurement]] = {way: [] for way in (*WAYS, *(f"open {load:.0%}" for load in LOADS))}
    for _ in range(rounds):
        for way in WAYS:
            found[way].append(
                measure(Job(**asdict(bare) | {"way": way, "setting": best, "target": targets.get(way, "")}))
            )
        for load in LOADS:
            rate = load * found["memory"][-1].rate
            found[f"open {load:.0%}"].append(measure(Job(**asdict(bare) | {"way": "open", "rate": rate})))
    return found


def measure(job: Job) -> Measurement:
    """In a process of its own, whose memory is nobody else's."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.ways", json.dumps(asdict(job))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def show(key: str, found: dict[str, list[Measurement]]) -> None:
    """A table for one workload."""
    bare = found["bare"]
    print(f"\n{key:<22}{'frames/s':>10}{'of bare (range)':>24}{'CPU ms/frame':>14}{'of bare':>9}{'peak MB':>9}")
    for way in WAYS:
        items = found[way]
        share = spread([item.rate / alone.rate for item, alone in zip(items, bare, strict=True)])
        effort = statistics.median(alone.cpu / item.cpu for item, alone in zip(items, bare, strict=True))
        rate, cpu = (statistics.median(getattr(item, name) for item in items) for name in ("rate", "cpu"))
        memory = max(item.memory for item in items) / 1e6
        print(f"{way:<22}{rate:>10.1f}{share:>24}{1000 * cpu:>14.2f}{effort:>9.2f}{memory:>9.0f}")
    frame = statistics.median(1000 * item.cpu for item in bare)
    for load in LOADS:
        items = found[f"open {load:.0%}"]
        times = [1000 * statistics.median(getattr(item, name) for item in items) for name in ("p50", "p99", "p999")]
        print(
            f"at {load:.0%} of capacity, ms from due to verdict: median {times[0]:.1f}, 99 % {times[1]:.1f}, 99.9 % "
            f"{times[2]:.1f}; 3 bare frames and the batch's wait are {3 * frame + BATCH_WAIT_MS:.1f}"
        )


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def record(workload: Workload, folder: Path, count: int) -> str:
    """A recording of the frames."""
    path = folder / f"{workload.name}-{count}.mcap"
    if not path.is_file():
        writer = RecordingWriter(path, {"source": workload.name})
        for frame in workload.frames(folder, count):
            writer.write(frame)
        writer.file.close()
    return str(path)


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """A real Kafka of one node; host:port."""
    home = folder / "kafka"
    shutil.rmtree(home, ignore_errors=True)
    node = load_broker().Cluster(home)
    try:
        node.start()
        yield node.servers
    finally:
        node.stop()


def send(workload: Workload, folder: Path, count: int, servers: str) -> None:
    """The frames into a topic of their own, beside one for the verdicts."""
    address = parse_address(f"kafka://{servers}/{workload.key}")
    topics = plan(workload.key, f"{workload.key}-verdicts", "andon.dead-letters", PARTITIONS, KafkaSettings())
    list(create(address, topics, KafkaSettings()))
    producer = KafkaProducer(bootstrap_servers=servers, max_request_size=2**25)
    for frame in workload.frames(folder, count):
        producer.send(workload.key, value=frame.data, key=frame.camera.encode())
    producer.flush()
    producer.close()


if __name__ == "__main__":
    main()
