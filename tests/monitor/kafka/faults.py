"""`make faults`: a line under load while everything around it fails, and an account of every frame at the end.

    python -m tests.monitor.kafka.faults [--seconds 120] [--seed 1] [--nodes 3]

Runs once for each delivery mode. Frames come in all the time; two monitors or more inspect them; what is injected is
drawn at random. Exit status 1 where a frame is lost, an order is broken, a duplicate cannot be recognised, or there is
any duplicate under exactly-once.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings
from kafka import KafkaAdminClient, KafkaProducer
from kafka import errors as kafka_errors

from tests.fixtures.broker import load_broker
from tests.fixtures.kafka_line import Line, Monitor, out_of_order, positions
from tests.fixtures.small_model import build_model, draw, encode

FRAMES_PER_SECOND = 40
POISON = 0.01
OVERSIZED = 0.01
CAMERAS = [f"camera-{number}" for number in range(12)]
DRAIN_SECONDS = 180


@dataclass
class Outcome:
    """What a campaign in one delivery mode came to."""

    delivery: str
    faults: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    verdicts: int = 0
    lost: int = 0
    duplicates: int = 0
    unrecognisable: int = 0  # a second verdict of a frame under another id
    disorder: int = 0

    @property
    def kept(self) -> bool:
        """Whether what is promised was kept."""
        broken = self.lost + self.unrecognisable + self.disorder
        return not broken and not (self.delivery == "exactly-once" and self.duplicates)

    def row(self) -> str:
        """A line of the table."""
        numbers = (
            sum(self.faults.values()),
            self.frames,
            self.verdicts,
            self.lost,
            self.duplicates,
            self.unrecognisable,
            self.disorder,
        )
        return f"{self.delivery:<15}" + "".join(f"{number:>10}" for number in numbers)


HEADER = f"{'delivery':<15}" + "".join(
    f"{name:>10}" for name in ("faults", "frames", "verdicts", "lost", "twice", "other id", "disorder")
)


class Camera(threading.Thread):
    """Sends frames until told to stop; every one is acknowledged by the broker in the end, none twice."""

    def __init__(self, line: Line, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self._line = line
        self._rng = rng
        self._good = [encode(draw(number)) for number in range(50)]
        self._oversized = encode(np.zeros((12_000, 12_000), np.uint8))
        self.bad: Counter[str] = Counter()
        self.over = threading.Event()
        self.sent: set[tuple[int, int]] = set()

    def run(self) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self._line.servers,
            delivery_timeout_ms=2**31 - 1,
            max_block_ms=60_000,
            reconnect_backoff_max_ms=1000,
        )
        futures = []
        while not self.over.is_set():
            draw_ = self._rng.random()
            value = self._rng.choice(self._good)
            if draw_ < POISON:
                value = b"no image at all"
                self.bad["poison frame"] += 1
            elif draw_ < POISON + OVERSIZED:
                value = self._oversized
                self.bad["oversized frame"] += 1
            futures.append(producer.send(self._line.frames, value=value, key=self._rng.choice(CAMERAS).encode()))
            time.sleep(1 / FRAMES_PER_SECOND)
        for future in futures:
            metadata = future.get(timeout=60)
            self.sent.add((metadata.partition, metadata.offset))
        producer.close()


class Campaign:
    """One delivery mode on one cluster."""

    def __init__(self, delivery: str, cluster: Any, line: Line, rng: random.Random, stack: ExitStack) -> None:
        self._delivery = delivery
        self._cluster = cluster
        self._line = line
        self._rng = rng
        self._stack = stack
        self._monitors: list[Monitor] = []
        self.outcome = Outcome(delivery)
        self._kinds: dict[str, Callable[[], None]] = {
            "monitor killed": self._kill,
            "monitor hung": self._hang,
            "member joined": self._join,
            "member left": self._leave,
            "broker killed": self._kill_broker,
            "broker hung": self._hang_broker,
            "no dead letters": self._remove_dead_letters,
        }

    def run(self, seconds: float) -> Outcome:
        """Inject for so long, let everything recover, count."""
        camera = Camera(self._line, self._rng)
        camera.start()
        self._join()
        self._join()
        deadline = time.monotonic() + seconds
        kinds: list[str] = []
        while time.monotonic() < deadline:
            kinds = kinds or self._rng.sample(list(self._kinds), len(self._kinds))
            kind = kinds.pop()
            self._kinds[kind]()
            self.outcome.faults[kind] += 1
            time.sleep(self._rng.uniform(0.2, 1.0))
        camera.over.set()
        camera.join()
        self.outcome.faults += camera.bad
        self._fill()
        self._count(camera.sent)
        return self.outcome

    def _count(self, sent: set[tuple[int, int]]) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        verdicts: list[dict[str, Any]] = []
        while len(set(positions(verdicts))) < len(sent) and time.monotonic() < deadline:
            self._fill()
            verdicts = self._line.read_answers(len(sent), 15)
        for monitor in self._monitors:
            monitor.signal(signal.SIGTERM)
        for monitor in self._monitors:
            monitor.end(60)
        verdicts = self._line.read_verdicts(len(verdicts), extra=1.0)
        answered = positions(verdicts)
        ids = {(position, verdict["id"]) for position, verdict in zip(answered, verdicts, strict=True)}
        outcome = self.outcome
        outcome.frames = len(sent)
        outcome.verdicts = len(verdicts)
        outcome.lost = len(sent - set(answered))
        outcome.duplicates = len(verdicts) - len(set(answered))
        outcome.unrecognisable = len(ids) - len(set(answered))
        outcome.disorder = out_of_order(verdicts)

    def _join(self) -> None:
        if len(self._monitors) < 3:
            settings = (f"kafka.delivery={self._delivery}", "kafka.rebalance_timeout=1")
            self._monitors.append(self._stack.enter_context(self._line.monitor(*settings)))

    def _fill(self) -> None:
        """Replace those that ended, as a supervisor does."""
        self._monitors = [monitor for monitor in self._monitors if monitor.process.poll() is None]
        while len(self._monitors) < 2:
            self._join()

    def _one(self) -> Monitor:
        self._fill()
        return self._rng.choice(self._monitors)

    def _kill(self) -> None:
        self._one().kill()
        self._fill()

    def _hang(self) -> None:
        monitor = self._one()
        monitor.signal(signal.SIGSTOP)
        time.sleep(self._rng.uniform(1, 5))
        monitor.signal(signal.SIGCONT)

    def _leave(self) -> None:
        monitor = self._one()
        monitor.signal(signal.SIGTERM)
        monitor.end(60)
        self._fill()

    def _kill_broker(self) -> None:
        node = self._rng.choice(self._cluster.nodes)
        self._cluster.signal_node(node, signal.SIGKILL)
        time.sleep(self._rng.uniform(0.2, 2))
        self._cluster.start_node(node)

    def _hang_broker(self) -> None:
        node = self._rng.choice(self._cluster.nodes)
        self._cluster.signal_node(node, signal.SIGSTOP)
        time.sleep(self._rng.uniform(1, 4))
        self._cluster.signal_node(node, signal.SIGCONT)

    def _remove_dead_letters(self) -> None:
        line, settings = self._line, KafkaSettings()
        admin = KafkaAdminClient(bootstrap_servers=line.servers)
        try:
            admin.delete_topics([line.letters])
        except kafka_errors.UnknownTopicOrPartitionError:
            pass
        finally:
            admin.close()
        time.sleep(2)
        topics = plan(line.frames, line.verdicts, line.letters, line.partitions, settings)
        list(create(parse_address(line.uri(line.frames)), topics, settings))


def run(delivery: str, seconds: float, seed: int, folder: Path, nodes: int) -> Outcome:
    """A campaign on a cluster of its own.

    Exactly once wants three nodes: a single one that is killed between deciding to end a transaction and marking its
    partitions may, when it is back, take the transaction for ended without marking them (seen with Kafka 4.3.1). It
    then hangs, and readers of committed data see nothing after it, though it is all there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "part.onnx"
    model.write_bytes(build_model())
    cluster = load_broker().Cluster(folder / "kafka", nodes)
    with ExitStack() as stack:
        stack.callback(cluster.stop)
        cluster.start()
        line = Line(cluster.servers, f"faults-{delivery}", model, folder)
        return Campaign(delivery, cluster, line, random.Random(seed), stack).run(seconds)


def main() -> None:
    """Both modes and the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120, help="of injected faults in each mode")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--delivery", choices=("at-least-once", "exactly-once"), help="one mode alone")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=3, help="of the cluster")
    arguments = parser.parse_args()
    modes = [arguments.delivery] if arguments.delivery else ["at-least-once", "exactly-once"]
    outcomes = []
    for delivery in modes:
        with tempfile.TemporaryDirectory(prefix="andon-faults-") as folder:
            outcomes.append(run(delivery, arguments.seconds, arguments.seed, Path(folder), arguments.nodes))
    kinds = sorted(set().union(*(outcome.faults for outcome in outcomes)))
    for kind in kinds:
        print(f"{kind:<20}" + "".join(f"{outcome.faults[kind]:>16}" for outcome in outcomes))
    print()
    print(HEADER)
    for outcome in outcomes:
        print(outcome.row())
    sys.exit(0 if all(outcome.kept for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
