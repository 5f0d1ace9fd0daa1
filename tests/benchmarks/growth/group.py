"""More monitors in a group, more partitions: frames a second against the cores that there are."""

import signal
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from tests.benchmarks.live import USUAL, Usage, encoded, free_ports, line, metric, wait_until
from tests.benchmarks.workloads import Workload
from tests.fixtures.kafka_line import Line

MONITORS = (1, 2, 4)
PARTITIONS = (1, 4, 12)
# One monitor is to need one core, so that the number of monitors says how many cores there could be work for.
ONE_CORE = ("model.threads=1",)
EDGES = (0.2, 0.8)  # shares of the verdicts between which time is taken: all members work, none has run dry


def measure(workload: Workload, folder: Path, servers: str, count: int, rounds: int) -> dict[str, Any]:
    """For each pair of monitors and partitions, in each round: frames a second, and cores used by all monitors."""
    cells = [(monitors, partitions) for monitors in MONITORS for partitions in PARTITIONS]
    found: dict[str, list[dict[str, float]]] = {f"{m} x {p}": [] for m, p in cells}
    for _ in range(rounds):
        for monitors, partitions in cells:
            found[f"{monitors} x {partitions}"].append(once(workload, folder, servers, monitors, partitions, count))
    return found


def once(
    workload: Workload, folder: Path, servers: str, monitors: int, partitions: int, count: int
) -> dict[str, float]:
    """A group of its own, whose members are held while the frames are sent, so that all of them begin at once."""
    ports = free_ports(monitors)
    with line(workload, folder, partitions, servers) as (made, reader), ExitStack() as stack:
        members = [stack.enter_context(made.monitor(*USUAL, *ONE_CORE, port=port)) for port in ports]
        wait_until(lambda: shared(ports, partitions), f"{monitors} monitors share {partitions} partitions", 120)
        for member in members:
            member.signal(signal.SIGSTOP)
        fill(made, encoded(workload, folder), count)
        for member in members:
            member.signal(signal.SIGCONT)
        marks = []
        for edge in EDGES:
            reader.wait(round(edge * count), 300)
            marks.append((len(reader.arrivals), [Usage.of(member) for member in members]))
        reader.wait(count, 300)
        (before, begun), (after, ended) = marks
        seconds = ended[0].at - begun[0].at
        used = sum(end.cpu - start.cpu for start, end in zip(begun, ended, strict=True))
        return {"rate": (after - before) / seconds, "cores": used / seconds, "cpu": used / (after - before)}


def shared(ports: Sequence[int], partitions: int) -> bool:
    """Whether every partition has a member, and no member has two more than another."""
    held = sorted(metric(port, "andon_assigned_partitions") for port in ports)
    return sum(held) == partitions and held[-1] - held[0] <= 1


def fill(line: Line, images: Sequence[bytes], count: int) -> None:
    """As many frames for each partition."""
    producer = KafkaProducer(bootstrap_servers=line.servers, max_request_size=2**25)
    for i in range(count):
        key = f"station-{i % line.partitions}".encode()
        producer.send(line.frames, value=images[i % len(images)], key=key, partition=i % line.partitions)
    producer.flush()
    producer.close()


def show(found: dict[str, Any]) -> None:
    """A table."""
    print(f"\n{'monitors x partitions':>21} {'frames/s (range)':>22} {'cores used':>11} {'CPU ms a frame':>15}")
    for cell, items in found.items():
        rates = [item["rate"] for item in items]
        spread = f"{statistics.median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f})"
        cores, cpu = (statistics.median(item[name] for item in items) for name in ("cores", "cpu"))
        print(f"{cell:>21} {spread:>22} {cores:>11.2f} {1000 * cpu:>15.1f}")
