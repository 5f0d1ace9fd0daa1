"""Our place in the consumer group: partitions taken up where the group left off, verified, and given up in order."""

import logging
import threading
import time
from collections.abc import Collection, Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from andon_monitor.kafka.client_internals import AsyncConsumerRebalanceListener, is_joining, sleep_on_client_loop
from andon_monitor.kafka.commits import OffsetCommitter, with_metadata
from andon_monitor.kafka.connection import PROBE_TIMEOUT_MS, describe
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.ledger import Ledger
from andon_monitor.kafka.reader import RecordReader
from andon_monitor.telemetry.metrics import Metrics

PENDING_POLL_SECONDS = 0.02  # between two looks at whether the frames of a partition to be given up are answered

log = logging.getLogger("andon")


class Membership:
    """One member of a consumer group.

    A partition that is revoked is given up once its frames are answered and committed, at the latest after
    `rebalance_timeout` seconds. Frames that are still in flight then change no offset any more: the next owner
    inspects them again.

    `committer` is None where the sink commits the offsets. `start` says where a new group begins: "earliest" or
    "latest". `verify` and `settle_in` are called before each poll.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        ledger: Ledger[TopicPartition],
        committer: OffsetCommitter | None,
        reader: RecordReader,
        start: str,
        rebalance_timeout: float,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._consumer = consumer
        self._ledger = ledger
        self._committer = committer
        self._reader = reader
        self._start = start
        self._rebalance_timeout = rebalance_timeout
        self._metrics = metrics
        self._health = health
        self._topic = ""
        self._verified: Any | None = None
        self._closing = False
        self._assigning = threading.Lock()  # the client reports assignments on a thread of its own
        self._shown = 0  # of our partitions, in the metric
        self._taken: set[TopicPartition] = set()  # assigned, position not set yet
        self._resume: dict[TopicPartition, int] = {}  # where they were given up, if nothing was committed

    def subscribe(self, topic: str) -> None:
        """Ask for a share of the topic's partitions; polling the consumer then joins the group."""
        self._topic = topic
        # A leader that joins before it knows the topic's partitions assigns none until its metadata is refreshed.
        self._consumer.partitions_for_topic(topic)
        self._consumer.subscribe([topic], listener=_Listener(self))

    @property
    def joining(self) -> bool:
        """Whether we wait for the group's answer to our joining."""
        return is_joining(self._consumer)

    def closing(self) -> None:
        """From now on a rebalance does not wait for frames in flight."""
        self._closing = True

    def current(self) -> Any | None:
        """Who we are in the group (kafka-python's ConsumerGroupMetadata), for a transaction's offsets.

        None while we are no member, or `verify` has not checked this membership. Offsets must not be sent then: the
        broker accepts offsets without a member's name whoever owns the partition by now.
        """
        member = self._consumer.group_metadata()
        return member if _is_member(member) and _same(member, self._verified) else None

    def verify(self) -> None:
        """Find out whether other members had our partitions while we were out of the group without knowing it.

        The client may rejoin after a broker's restart and keep partitions that another member had meanwhile, at the
        position where it stopped. Wherever the group's generation went on without us, each partition continues from
        its committed offset, and its frames in flight are dropped, as in a rebalance.
        """
        member = self._consumer.group_metadata()
        before = self._verified
        if not _is_member(member) or _same(member, before):
            return
        if before is not None and not _follows(member, before):
            try:
                self._start_over(self._ledger.partitions)
            except kafka_errors.KafkaError as error:
                self._health.failing(f"committed offsets cannot be read ({describe(error)})")
                return
        self._verified = member

    def settle_in(self) -> None:
        """Set newly assigned partitions to their committed offsets; the client may remember other positions."""
        for partition in list(self._taken):
            try:
                self._consumer.seek(partition, self._place(partition))
            except (kafka_errors.IllegalStateError, AssertionError):
                continue  # revoked again meanwhile
            except kafka_errors.KafkaError as error:
                self._health.failing(f"committed offsets cannot be read ({describe(error)})")
                return
            with self._assigning:
                if partition in self._taken:
                    self._ledger.assign([partition])
                    self._taken.discard(partition)
                self._show_assigned()

    def _show_assigned(self) -> None:
        """The metric is the sum over all memberships of the process."""
        assigned = len(self._ledger.partitions)
        self._metrics.assigned_partitions.inc(assigned - self._shown)
        self._shown = assigned

    def forget_places(self) -> None:
        """The topic is a new one: where partitions were given up means nothing in it."""
        self._resume.clear()

    def _place(self, partition: TopicPartition) -> int:
        """Where to begin with a partition that was assigned. Raises KafkaError."""
        committed = self._committed(partition)
        if committed is not None:
            return committed
        resume = self._resume.get(partition)
        return self._begin(partition) if resume is None else resume

    def _committed(self, partition: TopicPartition) -> int | None:
        """The group's offset, if it is one of this topic and not of one that was deleted. Raises KafkaError."""
        found = self._consumer.committed(partition, metadata=True, timeout_ms=PROBE_TIMEOUT_MS)
        if found is None or found.offset < 0:
            return None
        of_other_topic = found.metadata and self._reader.topic_id and found.metadata != self._reader.topic_id
        return None if of_other_topic else int(found.offset)

    def _begin(self, partition: TopicPartition) -> int:
        """Commit where the group begins with a partition that it has not read, and return that offset.

        A group that has read nothing begins as the settings say, with all partitions: of those that are added later it
        reads everything. Raises KafkaError.
        """
        numbers = self._consumer.partitions_for_topic(self._topic) or {partition.partition}
        others = {TopicPartition(self._topic, number) for number in numbers} - {partition}
        is_new = self._reader.is_first_topic and all(self._committed(other) is None for other in others)
        wanted = {partition, *others} if is_new else {partition}
        at_end = is_new and self._start == "latest"
        places = self._reader.ends(wanted) if at_end else self._reader.starts(wanted)
        self._consumer.commit(with_metadata(places, self._reader.topic_id), timeout_ms=PROBE_TIMEOUT_MS)
        if not is_new:
            log.info("kafka: partition %d is new to the group; reading it from its start", partition.partition)
        return places[partition]

    def _start_over(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            committed = self._committed(partition)
            place = self._ledger.resume(partition)
            nobody_else = committed is None or (place is not None and committed <= place)
            if nobody_else or partition not in self._consumer.assignment():
                continue
            dropped = self._ledger.renew(partition)
            self._metrics.relinquished_frames.inc(dropped)
            self._consumer.seek(partition, committed)
            log.info("kafka: partition %d continues from offset %d", partition.partition, committed)

    def _take(self, partitions: Collection[TopicPartition]) -> None:
        with self._assigning:
            self._taken |= set(partitions)
        self._metrics.rebalances.inc()
        log.info("kafka: partitions of %s: %s", self._topic, _numbers({*self._ledger.partitions, *partitions}))

    async def _give_up(self, partitions: Collection[TopicPartition], lost: bool) -> None:
        deadline = time.monotonic() + (0 if lost or self._closing else self._rebalance_timeout)
        while self._ledger.pending(partitions) and time.monotonic() < deadline:
            await sleep_on_client_loop(self._consumer, PENDING_POLL_SECONDS)
        if self._committer is not None and not lost:
            await self._committer.before_giving_up(partitions)
        with self._assigning:
            self._taken -= set(partitions)
            self._resume |= {p: place for p in partitions if (place := self._ledger.resume(p)) is not None}
            dropped = self._ledger.revoke(partitions)
        self._metrics.relinquished_frames.inc(dropped)
        self._show_assigned()
        for partition in partitions:
            self._metrics.forget_lag(partition.topic, partition.partition)
        log.info(
            "kafka: %s partitions %s%s",
            "lost" if lost else "gave up",
            _numbers(partitions),
            f"; {dropped} frames in flight are left to the next owner" if dropped else "",
        )


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if assigned:
            self._membership._take(assigned)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self._membership._give_up(revoked, lost=False)

    async def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        if lost:
            await self._membership._give_up(lost, lost=True)


def _is_member(member: Any) -> bool:
    return member.generation_id >= 0 and bool(member.member_id)


def _same(member: Any, other: Any | None) -> bool:
    return other is not None and (member.generation_id, member.member_id) == (other.generation_id, other.member_id)


def _follows(member: Any, other: Any) -> bool:
    """Whether this is the same member one generation later: then nobody else had the partitions it kept."""
    return (member.generation_id - 1, member.member_id) == (other.generation_id, other.member_id)


def _numbers(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(str(number) for number in sorted(partition.partition for partition in partitions)) or "none"
