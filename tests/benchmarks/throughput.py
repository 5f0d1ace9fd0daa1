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
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
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
LOADS = {"half": 0.5, "heavy": 0.8}  # the open loop, at shares of what the monitor does from memory
PARTITIONS = 4


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this one; may be given again")
    parser.add_argument(
        "--way", action="append", choices=(*WAYS[1:], *LOADS), help="only this one beside the bare loop"
    )
    parser.add_argument("--count", type=int, default=400, help="frames of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    wanted = set(arguments.way or (*WAYS, *LOADS))
    if wanted & LOADS.keys():
        wanted.add("memory")
    ways = [way for way in (*WAYS, *LOADS) if way == "bare" or way in wanted]
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"started": time.strftime("%Y-%m-%d %H:%M"), "rounds": arguments.rounds}
    with broker(folder) if "kafka" in ways else nullcontext("") as servers:
        for key in arguments.workload or WORKLOADS:
            workload = WORKLOADS[key]
            workload.trained(folder)
            targets = {"recording": record(workload, folder, arguments.count), "kafka": servers}
            if servers:
                send(workload, folder, arguments.count, servers)
            job = Job("bare", key, str(folder), arguments.count)
            found = take_turns(job, ways, targets, arguments.rounds)
            show(key, found)
            results[key] = {way: [asdict(item) for item in items] for way, items in found.items()}
            (folder / "throughput.json").write_text(json.dumps(results, indent=1))
    print(f"\n{folder / 'throughput.json'}")


def take_turns(bare: Job, ways: Sequence[str], targets: dict[str, str], rounds: int) -> dict[str, list[Measurement]]:
    """Every way in every round, the bare loop first; with the setting that is best here, once that is known."""
    rates = [measure(replace(bare, setting=setting)).rate for setting in range(len(SETTINGS))]
    bare = replace(bare, setting=rates.index(max(rates)))
    found: dict[str, list[Measurement]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways:
            load = LOADS.get(way)
            rate = 0.0 if load is None else load * found["memory"][-1].rate
            job = replace(bare, way="open" if load else way, rate=rate, target=targets.get(way, ""))
            found[way].append(measure(job))
            said = f"round {turn + 1} of {rounds}: {bare.workload}, {way}: {found[way][-1].rate:.1f} frames/s"
            print(said, file=sys.stderr, flush=True)
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
    for way in (way for way in found if way in WAYS):
        items = found[way]
        share = spread([item.rate / alone.rate for item, alone in zip(items, bare, strict=True)])
        effort = statistics.median(alone.cpu / item.cpu for item, alone in zip(items, bare, strict=True))
        rate, cpu = (statistics.median(getattr(item, name) for item in items) for name in ("rate", "cpu"))
        memory = max(item.memory for item in items) / 1e6
        print(f"{way:<22}{rate:>10.1f}{share:>24}{1000 * cpu:>14.2f}{effort:>9.2f}{memory:>9.0f}")
    frame = statistics.median(1000 * item.cpu for item in bare)
    for way in (way for way in found if way in LOADS):
        times = [
            1000 * statistics.median(getattr(item, name) for item in found[way]) for name in ("p50", "p99", "p999")
        ]
        print(
            f"at {LOADS[way]:.0%} of capacity, ms from due to verdict: median {times[0]:.1f}, 99 % {times[1]:.1f}, "
            f"99.9 % {times[2]:.1f}; three bare frames are {3 * frame:.1f}"
        )
    sys.stdout.flush()


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
