"""The monitor beside the limit of its libraries: python -m tests.benchmarks.throughput (make bench).

Each way (see `ways`) is a process of its own, and the ways take turns in every round, so that whatever else the machine
does meets all of them. What is measured goes into a JSON file, beside what was measured before of other workloads, and
tables of all that (see `tables`) are printed. Models are trained at the first run.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from andon_monitor.common.cores import available_cores
from andon_monitor.formats.mcap_writer import RecordingWriter
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings
from kafka import KafkaProducer

from tests.benchmarks import startup, tables
from tests.benchmarks.flops import flops_of
from tests.benchmarks.limit import SETTINGS
from tests.benchmarks.ways import Job, Measurement
from tests.benchmarks.workloads import WORKLOADS, Workload
from tests.fixtures.broker import load_broker

WAYS = ("bare", "memory", "recording", "kafka", "plain", "peak")
LOADS = {"half": 0.5, "heavy": 0.8}  # the open loop, at shares of what the monitor does from memory
OPEN_SECONDS = 15.0  # of the open loop: a 99.9th percentile takes a thousand frames, over all rounds
PARTITIONS = 4
STARTUP = "startup"


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="for frames, models and results")
    parser.add_argument(
        "--workload", action="append", choices=(*WORKLOADS, STARTUP), help="only this one; may be given again"
    )
    parser.add_argument(
        "--way", action="append", choices=(*WAYS[1:], *LOADS), help="only this one beside the bare loop"
    )
    parser.add_argument("--count", type=int, default=400, help="frames of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    wanted = set(given.way or (*WAYS, *LOADS)) | {"bare"}
    if wanted & LOADS.keys():
        wanted.add("memory")
    ways = [way for way in (*WAYS, *LOADS) if way in wanted]
    keys = given.workload or [*WORKLOADS, STARTUP]
    folder: Path = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with broker(folder) if "kafka" in ways and keys != [STARTUP] else nullcontext("") as servers:
        for key in (key for key in keys if key != STARTUP):
            workload = WORKLOADS[key]
            model = workload.trained(folder)
            targets = {"recording": record(workload, folder, given.count), "kafka": servers}
            if servers:
                send(workload, folder, given.count, servers)
            found = take_turns(Job("bare", key, str(folder), given.count), ways, targets, given.rounds)
            measured = {way: [asdict(item) for item in items] for way, items in found.items()}
            keep(folder, key, {"rounds": given.rounds, "flops": flops_of(model), "ways": measured})
    if STARTUP in keys:
        workload = WORKLOADS["grey-jpeg-default"]
        keep(folder, STARTUP, {"waits": startup.measure(workload.trained(folder), workload.images(folder))})
    print(tables.of(json.loads(results_file(folder).read_text())))


def take_turns(bare: Job, ways: Sequence[str], targets: dict[str, str], rounds: int) -> dict[str, list[Measurement]]:
    """Every way in every round, the bare loop first; with the setting that is best here, once that is known."""
    rates = [measure(replace(bare, setting=setting)).rate for setting in range(len(SETTINGS))]
    bare = replace(bare, setting=rates.index(max(rates)))
    found: dict[str, list[Measurement]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways:
            job = replace(bare, way=way, target=targets.get(way, ""))
            if way in LOADS:
                rate = LOADS[way] * found["memory"][-1].rate
                job = replace(bare, way="open", rate=rate, count=round(rate * OPEN_SECONDS))
            found[way].append(measure(job))
            said = f"round {turn + 1} of {rounds}: {bare.workload}, {way}: {found[way][-1].rate:.4g} a second"
            print(said, file=sys.stderr, flush=True)
    return found


def measure(job: Job) -> Measurement:
    """In a process of its own, whose memory is nobody else's."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.ways", json.dumps(asdict(job))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def results_file(folder: Path) -> Path:
    """Where results are."""
    return folder / "throughput.json"


def keep(folder: Path, key: str, results: Mapping[str, Any]) -> None:
    """Add what was measured, with where and when, to the results."""
    path = results_file(folder)
    kept = json.loads(path.read_text()) if path.is_file() else {}
    kept[key] = {"when": time.strftime("%Y-%m-%d %H:%M"), "machine": machine(), **results}
    path.write_text(json.dumps(kept, indent=1))


def machine() -> str:
    """Cores and processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if "model name" in line), "an unknown processor")
    return f"{available_cores()} cores of {name}"


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
