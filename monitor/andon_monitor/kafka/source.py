"""Frames from a topic, as a member of a consumer group."""

import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor

from andon_monitor.errors import SourceError
from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.commits import Commits
from andon_monitor.kafka.connection import PROBE_TIMEOUT_MS, client_options, describe, milliseconds
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.ledger import Claim, Ledger
from andon_monitor.kafka.messages import read_frame
from andon_monitor.kafka.waiting import until_connected
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics

# With no frames for this long we ask how far the topic goes: is there nothing to do, or does nothing come through?
PROBE_SECONDS = 3.0
LAG_SECONDS = 1.0
CLOSE_TIMEOUT_MS = 5_000
# The client joins its group and gives partitions up only while it is waited for: a poll of no time at all does neither.
LEAST_POLL_SECONDS = 0.05
# Nor does it take note of a join that ends between two polls: it begins another one, and the whole group with it.
JOIN_POLL_SECONDS = 1.0
# Beyond this a call into the client has gone astray: its own timeouts are shorter.
POLL_GUARD_SECONDS = 60.0

log = logging.getLogger("andon")


class KafkaSource:
    """A live source. Offsets are committed as frames are acknowledged, where `commits`; else the sink commits them.

    A partition taken away is given up when its frames are answered and committed, at the latest after
    `rebalance_timeout`; then frames of it that are still in flight move no offset any more: the next owner inspects
    them again. Raises SourceError where there is lag and no frame comes, or access is refused.
    """

    live = True
    length: int | None = None

    def __init__(
        self,
        address: Address,
        settings: KafkaSettings,
        metrics: Metrics,
        health: Health,
        watchdog: Watchdog,
        commits: bool = True,
    ) -> None:
        self.name = str(address)
        self.ledger: Ledger[TopicPartition] = Ledger(delivers=not commits)
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._watchdog = watchdog
        self._verified: Any | None = None
        self._assigning = threading.Lock()  # the client tells of assignments on a thread of its own
        self._taken: set[TopicPartition] = set()  # assigned, and not yet set to where they are to continue
        self._resume: dict[TopicPartition, int] = {}  # where they were given up, if nothing was committed
        self._ready: deque[tuple[Any, Claim]] = deque()
        self._closing = False
        self._last_frame = self._last_probe = time.monotonic()
        self._last_lag = 0.0
        self._consumer: KafkaConsumer = until_connected(
            lambda: self._connect(address, commits), address, settings, health
        )
        self._commits = Commits(self._consumer, self.ledger) if commits else None
        self.cluster = self._consumer._cluster.cluster_id or "unknown"  # in its metadata, but in no public method
        # A leader that joins before it knows the topic's partitions assigns none, until the metadata is old.
        self._consumer.partitions_for_topic(address.topic)
        self._consumer.subscribe([address.topic], listener=_Listener(self))

    def _connect(self, address: Address, commits: bool) -> KafkaConsumer:
        settings = self._settings
        return KafkaConsumer(
            **client_options(settings, address),
            group_id=settings.group_id,
            group_instance_id=settings.instance_id,
            # A member that was given up and comes back may claim partitions that another has by now, and the client's
            # cooperative assignor believes it: two owners at once. Exactly once cannot have that, so there everybody
            # gives up everything before each assignment.
            partition_assignment_strategy=[CooperativeStickyAssignor if commits else RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset=settings.start,
            # Verdicts of one transaction with frames of another that was aborted would be wrong; and only a consumer
            # that reads committed data waits for a predecessor's pending offsets (KIP-447).
            isolation_level="read_committed",
            max_poll_records=settings.poll_records,
            max_partition_fetch_bytes=settings.max_message_bytes,
            fetch_max_bytes=settings.fetch_bytes,
            fetch_max_wait_ms=200,
            session_timeout_ms=milliseconds(settings.session_timeout),
            heartbeat_interval_ms=milliseconds(settings.session_timeout / 3),
            max_poll_interval_ms=milliseconds(settings.poll_timeout),
            metadata_max_age_ms=60_000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned."""
        return bool(self.ledger.partitions)

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """See `Source.poll`. Partitions are paused while there is no capacity; what is fetched stays fetched."""
        self._verify_membership()
        self._settle_in()
        self._commit()
        self._pause(capacity == 0)
        if not self._ready or capacity == 0:
            least = JOIN_POLL_SECONDS if self._joining else LEAST_POLL_SECONDS
            wait = 0 if self._ready and not self._joining else max(timeout, least)
            self._ready.extend(self._fetch(wait))
        frames: list[Frame] = []
        while self._ready and len(frames) < capacity:
            record, claim = self._ready.popleft()
            # What was fetched before its partition was taken away is the new owner's.
            if self.ledger.polled(TopicPartition(record.topic, record.partition), record.offset, claim):
                frames.append(read_frame(record, self.cluster))
        now = time.monotonic()
        if frames or capacity == 0:
            self._last_frame = now
            if frames:
                self._health.working()
        elif now - max(self._last_frame, self._last_probe) > PROBE_SECONDS:
            self._probe()
        if now - self._last_lag > LAG_SECONDS:
            self._last_lag = now
            self._measure_lag({p: self._consumer.highwater(p) for p in self._consumer.assignment()})
        return frames

    @property
    def _joining(self) -> bool:
        """Whether a join is under way, which no public method tells."""
        return self._consumer._coordinator._join_task is not None

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Note the offsets; they are committed with one of the next polls, several at once."""
        self.ledger.acknowledge(len(frames))
        self._commit()

    def close(self) -> None:
        """Commit what is answered, leave the group."""
        self._closing = True
        try:
            if self._commits is not None:
                patience = self._settings.rebalance_timeout + CLOSE_TIMEOUT_MS / 1000
                self._commits.finish(patience, self._poll_paused)
        except kafka_errors.KafkaError as error:
            log.warning("kafka: the last offsets could not be committed (%s); their frames come again", describe(error))
        self._consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)

    def _commit(self) -> None:
        if self._commits is not None and self._commits.due and self.membership():
            self._commits.send()

    def membership(self) -> Any | None:
        """Who we are in the group, for a transaction's offsets; None while that is not known to be whole.

        Offsets sent without a member's name are accepted whoever owns the partition by now: they must not be sent.
        Nor must those of a membership that `_verify_membership` has yet to look at.
        """
        member = self._consumer.group_metadata()
        return member if _is_member(member) and _same(member, self._verified) else None

    def _verify_membership(self) -> None:
        """Look for what others did while we were out of the group without being told.

        The client may rejoin after a broker's restart and keep partitions that another member had meanwhile, at the
        place where it left off. Wherever the group's generation went on without us, each partition continues from
        what is committed; frames of it in flight are dropped, as at a rebalance.
        """
        member = self._consumer.group_metadata()
        before = self._verified
        if not _is_member(member) or _same(member, before):
            return
        if before is not None and not _follows(member, before):
            try:
                self._start_over(self.ledger.partitions)
            except kafka_errors.KafkaError as error:
                self._health.failing(f"committed offsets cannot be read ({describe(error)})")
                return
        self._verified = member

    def _settle_in(self) -> None:
        """Set partitions assigned to us to what is committed; the client may remember an older or newer place."""
        for partition in list(self._taken):
            try:
                committed = self._consumer.committed(partition, timeout_ms=PROBE_TIMEOUT_MS)
                start = committed if committed is not None else self._resume.get(partition)
                if start is not None:
                    self._consumer.seek(partition, start)
            except (kafka_errors.IllegalStateError, AssertionError):
                continue  # taken away again meanwhile
            except kafka_errors.KafkaError as error:
                self._health.failing(f"committed offsets cannot be read ({describe(error)})")
                return
            with self._assigning:
                if partition in self._taken:
                    self.ledger.assign([partition])
                    self._taken.discard(partition)
                self._metrics.assigned_partitions.set(len(self.ledger.partitions))

    def _start_over(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            committed = self._consumer.committed(partition, timeout_ms=PROBE_TIMEOUT_MS)
            done = self.ledger.done(partition)
            nobody_else = committed is None or (done is not None and committed <= done)
            if nobody_else or partition not in self._consumer.assignment():
                continue
            dropped = self.ledger.renew(partition)
            self._metrics.relinquished_frames.inc(dropped)
            self._consumer.seek(partition, committed)
            log.info("kafka: partition %d continues from offset %d", partition.partition, committed)

    def _fetch(self, timeout: float) -> Iterator[tuple[Any, Claim]]:
        try:
            with self._watchdog.guard("polling kafka", POLL_GUARD_SECONDS):
                batches = self._consumer.poll(milliseconds(timeout))
        except (kafka_errors.AuthorizationError, kafka_errors.SaslAuthenticationFailedError) as error:
            raise SourceError(f"{self.name}: access refused ({describe(error)})") from None
        except kafka_errors.FencedInstanceIdError:
            raise SourceError(
                f"{self.name}: another member is called kafka.instance_id {self._settings.instance_id} too"
            ) from None
        except kafka_errors.CorruptRecordError as error:
            raise SourceError(f"{self.name}: a record is damaged on the broker ({describe(error)})") from None
        except kafka_errors.KafkaError as error:
            self._health.failing(f"cannot be polled ({describe(error)})")
            time.sleep(timeout)
            return
        for partition, records in batches.items():
            claim = self.ledger.claim(partition)
            if claim is not None:
                yield from ((record, claim) for record in records)
                continue
            # Ours already, but not yet settled in; or no longer ours, and then it is no loss.
            with suppress(kafka_errors.IllegalStateError, AssertionError):
                self._consumer.seek(partition, records[0].offset)

    def _pause(self, wanted: bool) -> None:
        partitions = self._consumer.assignment()
        if wanted:
            self._consumer.pause(*partitions - self._consumer.paused())
        elif paused := self._consumer.paused() & partitions:
            self._consumer.resume(*paused)

    def _poll_paused(self) -> None:
        self._pause(True)
        self._consumer.poll(milliseconds(LEAST_POLL_SECONDS))

    def _probe(self) -> None:
        """Ask for the ends of our partitions, which also says whether the brokers answer at all."""
        self._last_probe = time.monotonic()
        partitions = self.ledger.partitions
        if not partitions:
            return
        try:
            ends = self._consumer.end_offsets(partitions, timeout_ms=PROBE_TIMEOUT_MS)
        except kafka_errors.KafkaError as error:
            self._health.failing(f"no answer from {self.name} ({describe(error)})")
            self._last_frame = time.monotonic()  # an outage is waited out: it is not a stuck consumer
            return
        self._health.working()
        lag = self._measure_lag(ends)
        silent = time.monotonic() - self._last_frame
        if lag == 0:
            self._last_frame = time.monotonic()
        elif silent > self._settings.stuck_timeout:
            raise SourceError(
                f"{self.name}: {lag} records wait and none has come for {silent:.0f} s; ending, to be started anew"
            )

    def _measure_lag(self, ends: Mapping[TopicPartition, int | None]) -> int:
        total = 0
        for partition, end in ends.items():
            done = self.ledger.done(partition)
            try:
                position = done if done is not None else self._consumer.position(partition, timeout_ms=1)
            except kafka_errors.KafkaError:
                position = None
            if end is not None and position is not None:
                lag = max(0, end - position)
                self._metrics.consumer_lag_records.labels(partition.topic, partition.partition).set(lag)
                total += lag
        return total

    def _take(self, partitions: Collection[TopicPartition]) -> None:
        with self._assigning:
            self._taken |= set(partitions)
        self._metrics.rebalances.inc()
        log.info("kafka: partitions of %s: %s", self.name, _numbers({*self.ledger.partitions, *partitions}))

    async def _give_up(self, partitions: Collection[TopicPartition], lost: bool) -> None:
        # The client's own loop: to sleep otherwise would stop its heartbeats.
        net = self._consumer._net
        deadline = time.monotonic() + (0 if lost or self._closing else self._settings.rebalance_timeout)
        while self.ledger.pending(partitions) and time.monotonic() < deadline:
            await net.sleep(0.02)
        if self._commits is not None and not lost:
            await self._commits.before_giving_up(partitions)
        with self._assigning:
            self._taken -= set(partitions)
            self._resume |= {p: place for p in partitions if (place := self.ledger.resume(p)) is not None}
            dropped = self.ledger.revoke(partitions)
        self._metrics.relinquished_frames.inc(dropped)
        self._metrics.assigned_partitions.set(len(self.ledger.partitions))
        for partition in partitions:
            self._metrics.forget_lag(partition.topic, partition.partition)
        log.info(
            "kafka: %s partitions %s%s",
            "lost" if lost else "gave up",
            _numbers(partitions),
            f"; {dropped} frames in flight are left to the next owner" if dropped else "",
        )


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if assigned:
            self._source._take(assigned)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if revoked:
            await self._source._give_up(revoked, lost=False)

    async def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        if lost:
            await self._source._give_up(lost, lost=True)


def _is_member(member: Any) -> bool:
    return member.generation_id >= 0 and bool(member.member_id)


def _same(member: Any, other: Any | None) -> bool:
    return other is not None and (member.generation_id, member.member_id) == (other.generation_id, other.member_id)


def _follows(member: Any, other: Any) -> bool:
    """Whether a generation is the next one of the same member: then nobody else had what it kept."""
    return (member.generation_id - 1, member.member_id) == (other.generation_id, other.member_id)


def _numbers(partitions: Iterable[TopicPartition]) -> str:
    return ", ".join(str(number) for number in sorted(partition.partition for partition in partitions)) or "none"
