"""A topic read as a member of a consumer group: what its records hold, and which offsets are committed."""

import logging
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from andon_monitor.errors import SourceError
from andon_monitor.formats.decompression import require_codecs
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.client_internals import CooperativeStickyAssignor, RangePartitionAssignor
from andon_monitor.kafka.commits import OffsetCommitter
from andon_monitor.kafka.connection import NO_RESET, PROBE_TIMEOUT_MS, consumer_options, describe, milliseconds
from andon_monitor.kafka.health import Health, until_connected
from andon_monitor.kafka.lag import ConsumerLag
from andon_monitor.kafka.ledger import Claim, Ledger
from andon_monitor.kafka.membership import Membership
from andon_monitor.kafka.reader import RecordReader, ResetCause
from andon_monitor.kafka.records import Record
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics

CLOSE_TIMEOUT_MS = 5_000
# The client joins its group and gives partitions up only during a poll that waits: a poll of no time does neither.
MIN_POLL_SECONDS = 0.05
# Nor does it notice a join that ends between two polls: it starts another one, and a rebalance of the whole group.
JOIN_POLL_SECONDS = 1.0
# The client's own timeouts are shorter: a poll that takes longer does not come back.
POLL_GUARD_SECONDS = 60.0

log = logging.getLogger("andon")

T = TypeVar("T")


class GroupSource(Generic[T]):
    """What the records of a topic hold, such as frames.

    With `commits` offsets are committed as items are acknowledged; else the sink commits them. Raises SourceError where
    records wait and no item comes, or access is refused; an outage is waited out.
    """

    def __init__(
        self,
        address: Address,
        settings: KafkaSettings,
        metrics: Metrics,
        health: Health,
        watchdog: Watchdog,
        commits: bool = True,
    ) -> None:
        require_codecs()
        self.name = str(address)
        self.ledger: Ledger[TopicPartition] = Ledger(delivers=not commits)
        self.settings = settings
        self._topic = address.topic
        self._health = health
        self._watchdog = watchdog
        self._ready: deque[tuple[Record, Claim]] = deque()
        consumer = until_connected(lambda: _connect(address, settings, commits), address, settings, health)
        self._consumer: KafkaConsumer = consumer
        # The topic's id comes with its partitions.
        until_connected(lambda: consumer.partitions_for_topic(address.topic), address, settings, health)
        self.reader = RecordReader(consumer, address.topic, settings, self._continue_at, metrics)
        self._metrics = metrics
        self._committer = OffsetCommitter(consumer, self.ledger, self.reader) if commits else None
        self._lag = ConsumerLag(consumer, self.ledger, self.name, settings.stuck_timeout, metrics, health)
        self.membership = Membership(
            consumer,
            self.ledger,
            self._committer,
            self.reader,
            settings.start,
            settings.rebalance_timeout,
            metrics,
            health,
        )
        self.membership.subscribe(address.topic)

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned."""
        return bool(self.ledger.partitions)

    @property
    def topic_id(self) -> str | None:
        """The UUID of the topic that is read."""
        return self.reader.topic_id

    def read(self, record: Record) -> Iterable[tuple[T, bool]]:
        """What a record holds, and of each item whether another one of the record follows."""
        raise NotImplementedError

    def poll(self, capacity: int, timeout: float) -> list[T] | None:
        """See `Source.poll`. Partitions are paused while there is no capacity; records already fetched are kept."""
        self.membership.verify()
        self.membership.settle_in()
        self._commit()
        self._pause(capacity == 0)
        if not self._ready or capacity == 0:
            joining = self.membership.joining
            shortest = JOIN_POLL_SECONDS if joining else MIN_POLL_SECONDS
            self._ready.extend(self._fetch(0 if self._ready and not joining else max(timeout, shortest)))
        items: list[T] = []
        while self._ready and len(items) < capacity:
            record, claim = self._ready.popleft()
            # A record fetched before its partition was revoked belongs to the new owner.
            if not claim.held:
                continue
            partition = TopicPartition(record.topic, record.partition)
            for item, more in self.read(record):
                if self.ledger.polled(partition, record.offset, claim, more):
                    items.append(item)
        if items:
            self._health.working()
        if items or capacity == 0:
            self._lag.progress()
        else:
            self._lag.probe_if_silent()
        self._lag.measure_if_due(idle=not self._ready)
        return items

    def acknowledge(self, items: Sequence[T], uninspectable: Collection[T] = ()) -> None:
        """Note the offsets; one of the next polls commits them, many at once."""
        self.ledger.acknowledge(len(items))
        self._commit()

    def caught_up(self) -> dict[int, int]:
        """The partitions of ours whose end was just confirmed and of which everything was polled, with that offset."""
        partitions = [] if self._ready else self.ledger.partitions
        if not partitions:
            return {}
        found = {}
        try:
            ends = self._consumer.end_offsets(partitions, timeout_ms=PROBE_TIMEOUT_MS)
            for partition in partitions:
                position = self._consumer.position(partition, timeout_ms=1)
                # Behind the end for readers of committed data there may be more that is about to be committed.
                last = self._consumer.highwater(partition)
                if position is not None and last is not None and position >= max(ends[partition], last):
                    found[partition.partition] = int(position)
        except (kafka_errors.KafkaError, AssertionError):
            return {}
        return found

    def partition_count(self) -> int:
        """The number of the topic's partitions, as far as it is known."""
        return len(self._consumer.partitions_for_topic(self._topic) or ())

    def close(self) -> None:
        """Commit what is answered and leave the group."""
        self.membership.closing()
        try:
            if self._committer is not None:
                self._committer.finish(self.settings.rebalance_timeout + CLOSE_TIMEOUT_MS / 1000, self._poll_paused)
        except kafka_errors.KafkaError as error:
            log.warning(
                "kafka: the last offsets could not be committed (%s); their frames are delivered again", describe(error)
            )
        self._consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)

    def _commit(self) -> None:
        if self._committer is not None and self._committer.due and self.membership.current():
            self._committer.send()

    def _continue_at(self, cause: ResetCause, places: Mapping[TopicPartition, int]) -> None:
        """Frames in flight are from before: their answers change no offset any more."""
        for partition in places:
            self._metrics.relinquished_frames.inc(self.ledger.renew(partition))
        if cause == "recreated":
            self.membership.forget_places()

    def _fetch(self, timeout: float) -> Iterator[tuple[Record, Claim]]:
        try:
            with self._watchdog.guard("polling Kafka", POLL_GUARD_SECONDS):
                batches = self.reader.poll(timeout)
        except (kafka_errors.AuthorizationError, kafka_errors.SaslAuthenticationFailedError) as error:
            raise SourceError(f"{self.name}: access refused ({describe(error)})") from None
        except kafka_errors.FencedInstanceIdError:
            raise SourceError(
                f"kafka.instance_id {self.settings.instance_id}: another member of the group has it too; give each "
                "its own"
            ) from None
        except kafka_errors.KafkaError as error:
            self._health.failing(f"{self.name} cannot be polled ({describe(error)})")
            time.sleep(timeout)
            return
        for partition, records in batches.items():
            claim = self.ledger.claim(partition)
            if claim is not None:
                yield from ((record, claim) for record in records)
                continue
            # Assigned, but its position is not set yet: fetch it again. Or no longer ours, then nothing is lost.
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
        self._consumer.poll(milliseconds(MIN_POLL_SECONDS))


class RecordSource(GroupSource[Record]):
    """The records of a topic as they are."""

    def read(self, record: Record) -> Iterable[tuple[Record, bool]]:
        """The record."""
        return ((record, False),)


def _connect(address: Address, settings: KafkaSettings, commits: bool) -> KafkaConsumer:
    return KafkaConsumer(
        **consumer_options(settings, address),
        group_id=settings.group_id,
        group_instance_id=settings.instance_id,
        # A member that was removed and comes back may claim partitions that another one has by now, and the client's
        # cooperative assignor believes it: two owners at once. Exactly-once cannot have that, so there everybody
        # gives up everything before each assignment.
        partition_assignment_strategy=[CooperativeStickyAssignor if commits else RangePartitionAssignor],
        auto_offset_reset=NO_RESET,
        session_timeout_ms=milliseconds(settings.session_timeout),
        heartbeat_interval_ms=milliseconds(settings.session_timeout / 3),
        max_poll_interval_ms=milliseconds(settings.poll_timeout),
        metadata_max_age_ms=60_000,
    )
