"""`make faults`: a line under load while everything around it fails, and an account of every frame at the end.

    python -m tests.monitor.kafka.faults [--seconds 300] [--rounds 3] [--seed 1] [--nodes 3]

Runs once for each delivery mode. Frames come in all the time; two monitors or more inspect them; what is injected is
drawn at random. After each round the topic of frames is deleted and created again, under the running monitors. Exit
status 1 where a frame is lost, an order is broken, a duplicate cannot be recognised, or there is any duplicate under
exactly-once.
"""

import argparse
import json
import math
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from tests.fixtures.broker import load_broker
from tests.fixtures.kafka_line import Line, Monitor, out_of_order, positions
from tests.fixtures.kafka_records import CODECS, NotUtf8, bomb, send_compressed
from tests.fixtures.small_model import build_model, draw, encode

FRAMES_PER_SECOND = 40
POISON = 0.01
OVERSIZED = 0.01
BAD_RECORD = 0.02  # of each kind
BOMB = 0.002
BOMB_BYTES = 200 * 2**20
MAX_PARTITIONS = 8
BAD = {
    "poison frame": POISON,
    "oversized frame": OVERSIZED,
    "bad header": BAD_RECORD,
    "many headers": BAD_RECORD / 4,
    "tombstone": BAD_RECORD,
    "frame from the future": BAD_RECORD,
    "huge key": BAD_RECORD / 4,
    "compressed frame": BAD_RECORD,
    "bomb": BOMB,
}
CAMERAS = [f"camera-{number}" for number in range(12)]
DRAIN_SECONDS = 180


@dataclass
class Outcome:
    """What a campaign in one delivery mode came to."""

    delivery: str
    faults: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    verdicts: int = 0
    expired: int = 0  # removed by retention while nobody read
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
            self.faults.total() - self.faults["(not injected)"],
            self.frames,
            self.verdicts,
            self.expired,
            self.lost,
            self.duplicates,
            self.unrecognisable,
            self.disorder,
        )
        return f"{self.delivery:<15}" + "".join(f"{number:>10}" for number in numbers)


HEADER = f"{'delivery':<15}" + "".join(
    f"{name:>10}" for name in ("faults", "frames", "verdicts", "expired", "lost", "twice", "other id", "disorder")
)


@cache
def large_frames() -> tuple[bytes, dict[str, bytes]]:
    """An image that is too large, and bombs by their compression; they take seconds to make."""
    bombs = {name: bomb(name, BOMB_BYTES) for name in ("gzip", "lz4", "zstd")}
    return encode(np.zeros((12_000, 12_000), np.uint8)), bombs


class Camera(threading.Thread):
    """Sends frames until it is stopped; every one is acknowledged by the broker in the end, none twice."""

    def __init__(self, line: Line, rng: random.Random, rate: float) -> None:
        super().__init__(daemon=True)
        self._line = line
        self._rate = rate  # frames a second
        self._rng = rng
        self._good = [encode(draw(number)) for number in range(50)]
        self._oversized, self._bombs = large_frames()
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
        others = {
            name: KafkaProducer(
                bootstrap_servers=self._line.servers,
                compression_type=name,
                max_block_ms=60_000,
                delivery_timeout_ms=2**31 - 1,
                reconnect_backoff_max_ms=1000,
            )
            for name in CODECS
        }
        futures = []
        while not self.over.is_set():
            key = self._rng.choice(CAMERAS).encode()
            fields: dict[str, Any] = {"value": self._rng.choice(self._good), "key": key}
            kind = self._bad_kind()
            sender = producer
            if kind is not None:
                self.bad[kind] += 1
                fields |= self._changes(kind)
            if kind == "compressed frame":
                sender = self._rng.choice(list(others.values()))
            if kind == "bomb":
                self._send_bomb()
            else:
                futures.append(sender.send(self._line.frames, **fields))
            time.sleep(1 / self._rate)
        for future in futures:
            metadata = future.get(timeout=60)
            self.sent.add((metadata.partition, metadata.offset))
        for sender in (producer, *others.values()):
            sender.close()

    def _bad_kind(self) -> str | None:
        drawn = self._rng.random()
        for kind, share in BAD.items():
            drawn -= share
            if drawn < 0:
                return kind
        return None

    def _changes(self, kind: str) -> dict[str, Any]:
        """What is different about such a record."""
        changes: dict[str, dict[str, Any]] = {
            "poison frame": {"value": b"no image at all"},
            "oversized frame": {"value": self._oversized},
            "bad header": {"headers": [(NotUtf8("x"), b"v")]},
            "many headers": {"headers": [("", b"")] * 5000},
            "tombstone": {"value": None},
            "frame from the future": {"headers": [("ce_time", b"9999-12-31T23:59:59Z")]},
            "huge key": {"key": bytes(2**19)},
            "compressed frame": {"headers": [("same", bytes(5000))]},
        }
        return changes.get(kind, {})

    def _send_bomb(self) -> None:
        name = self._rng.choice(list(self._bombs))
        while True:
            try:
                self.sent.add(send_compressed(self._line, name, self._bombs[name]))
                return
            except kafka_errors.KafkaError:
                time.sleep(1)  # if it arrived after all, it has a verdict that nobody asks for


class Campaign:
    """One delivery mode on one cluster."""

    def __init__(
        self, delivery: str, cluster: Any, line: Line, rng: random.Random, rate: float, stack: ExitStack
    ) -> None:
        self._delivery = delivery
        self._cluster = cluster
        self._line = line
        self._rng = rng
        self._rate = rate
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
            "partition added": self._add_partition,
            "log shortened": self._shorten_log,
            "retention": self._expire,
        }
        self._next_kinds: list[str] = []
        self._partitions = line.partitions
        self._expired: set[tuple[int, int]] = set()
        self._places: dict[int, int] = {}  # where the verdicts of this round begin in their topic

    def run(self, seconds: float, rounds: int) -> Outcome:
        """Inject for so long, but each kind once at least, in several rounds; after each let all recover and count."""
        for number in range(rounds):
            if number:
                self._recreate()
                self.outcome.faults["topic recreated"] += 1
            self._round(seconds / rounds, math.ceil(len(self._kinds) / rounds), number == rounds - 1)
        return self.outcome

    def _round(self, seconds: float, faults: int, is_last: bool) -> None:
        camera = Camera(self._line, self._rng, self._rate)
        camera.start()
        self._fill()
        deadline = time.monotonic() + seconds
        injected = 0
        while injected < faults or time.monotonic() < deadline:
            self._next_kinds = self._next_kinds or self._rng.sample(list(self._kinds), len(self._kinds))
            kind = self._next_kinds.pop()
            self._kinds[kind]()
            self.outcome.faults[kind] += 1
            injected += 1
            time.sleep(self._rng.uniform(0.2, 1.0))
        camera.over.set()
        camera.join()
        self.outcome.faults += camera.bad
        self._fill()
        self._count(camera.sent, is_last)

    def _count(self, sent: set[tuple[int, int]], is_last: bool) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        verdicts: list[dict[str, Any]] = []
        while not sent <= set(positions(verdicts)) | self._expired and time.monotonic() < deadline:
            self._fill()
            verdicts = self._verdicts(3.0)[0]
        if is_last:
            for monitor in self._monitors:
                monitor.signal(signal.SIGTERM)
            for monitor in self._monitors:
                monitor.end(60)
        verdicts, self._places = self._verdicts(5.0)
        answered = positions(verdicts)
        ids = {(position, verdict["id"]) for position, verdict in zip(answered, verdicts, strict=True)}
        outcome, missing = self.outcome, sent - set(answered)
        outcome.frames += len(sent)
        outcome.verdicts += len(verdicts)
        outcome.expired += len(missing & self._expired)
        outcome.lost += len(missing - self._expired)
        outcome.duplicates += len(verdicts) - len(set(answered))
        outcome.unrecognisable += len(ids) - len(set(answered))
        # Frames of one partition have several partitions of verdicts once partitions are added; the order between those
        # is none.
        for partition in {verdict["read_from"] for verdict in verdicts}:
            outcome.disorder += out_of_order([verdict for verdict in verdicts if verdict["read_from"] == partition])

    def _verdicts(self, seconds: float) -> tuple[list[dict[str, Any]], dict[int, int]]:
        """The verdicts of this round that come within the time, and where those of the next one begin."""
        records = self._line.read(self._line.verdicts, 0, 0, extra=seconds)
        ends = dict(self._places)
        for record in records:
            ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        ours = [record for record in records if record.offset >= self._places.get(record.partition, 0)]
        return [json.loads(record.value) | {"read_from": record.partition} for record in ours], ends

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

    def _add_partition(self) -> None:
        if self._partitions < MAX_PARTITIONS:
            with self._admin() as admin:
                admin.create_partitions({self._line.frames: self._partitions + 1})
                self._partitions += 1

    def _shorten_log(self) -> None:
        """Delete what is committed, as retention does."""
        with self._admin() as admin:
            self._delete_before(admin, self._committed(admin), 0)

    def _expire(self) -> None:
        """Delete more than is committed while no monitor runs."""
        for monitor in self._monitors:
            monitor.kill()
        with self._admin() as admin:
            self._delete_before(admin, self._committed(admin), self._rng.randint(1, 10))
        self._fill()

    def _committed(self, admin: KafkaAdminClient) -> dict[TopicPartition, int]:
        found = admin.list_group_offsets({self._line.name: None})[self._line.name]
        return {place: known.offset for place, known in found.items() if known.offset > 0}

    def _delete_before(self, admin: KafkaAdminClient, offsets: dict[TopicPartition, int], more: int) -> None:
        consumer = KafkaConsumer(bootstrap_servers=self._line.servers)
        ends = consumer.end_offsets(list(offsets), timeout_ms=10_000)
        consumer.close()
        wanted = {place: min(offset + more, ends[place]) for place, offset in offsets.items()}
        for place, offset in wanted.items():
            self._expired |= {(place.partition, number) for number in range(offsets[place], offset)}
        if wanted:
            admin.delete_records(wanted)

    @contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        """An administrator. A broker that is away just then makes this no fault."""
        try:
            admin = KafkaAdminClient(bootstrap_servers=self._line.servers)
            try:
                yield admin
            finally:
                admin.close()
        except kafka_errors.KafkaError as error:
            self.outcome.faults["(not injected)"] += 1
            print(f"not injected: {error!r}", file=sys.stderr)

    def _recreate(self) -> None:
        """Delete the topic of frames, when all are answered, and create it again."""
        self._expired, self._partitions = set(), self._line.partitions
        admin = KafkaAdminClient(bootstrap_servers=self._line.servers)
        admin.delete_topics([self._line.frames])
        while admin.describe_topics([self._line.frames])[0]["error_code"] == 0:
            time.sleep(0.2)
        admin.close()
        self._line.create()

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


def run(
    delivery: str, seconds: float, rounds: int, seed: int, folder: Path, nodes: int, rate: float = FRAMES_PER_SECOND
) -> Outcome:
    """A campaign on a cluster of its own; `rate` is in frames a second.

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
        return Campaign(delivery, cluster, line, random.Random(seed), rate, stack).run(seconds, rounds)


def main() -> None:
    """Both modes and the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300, help="of injected faults in each mode")
    parser.add_argument("--rounds", type=int, default=3, help="the topic is created again between them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--delivery", choices=("at-least-once", "exactly-once"), help="one mode alone")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=3, help="of the cluster")
    arguments = parser.parse_args()
    modes = [arguments.delivery] if arguments.delivery else ["at-least-once", "exactly-once"]
    outcomes = []
    for delivery in modes:
        with tempfile.TemporaryDirectory(prefix="andon-faults-") as folder:
            outcomes.append(
                run(delivery, arguments.seconds, arguments.rounds, arguments.seed, Path(folder), arguments.nodes)
            )
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
