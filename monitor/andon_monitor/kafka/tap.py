"""A topic read without a consumer group: nothing is committed, and no monitor notices."""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from andon_monitor.errors import SourceError, UsageError
from andon_monitor.formats.decompression import require_codecs
from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.connection import NO_RESET, PROBE_TIMEOUT_MS, consumer_options, describe, milliseconds
from andon_monitor.kafka.events import read_frames
from andon_monitor.kafka.health import Health, until_answered, until_connected
from andon_monitor.kafka.reader import RecordReader, ResetCause
from andon_monitor.kafka.records import Record
from andon_monitor.kafka.topics import must_exist
from andon_monitor.settings.groups import KafkaSettings

# After this long without records we ask whether the brokers answer and partitions have been added.
PROBE_INTERVAL_SECONDS = 3.0
POSITION_TIMEOUT_MS = 1_000
CLOSE_TIMEOUT_MS = 1_000
UNREADABLE_LOG_SECONDS = 30.0  # between two lines of the log about records that cannot be read
METADATA_MAX_AGE_MS = 10_000

# Where to start, see `KafkaTap`.
Start = str | float | Mapping[int, int]

log = logging.getLogger("andon")


class KafkaTap:
    """Every record of a topic, each once, in order within a partition.

    `start`: "latest" (records from now on), "earliest" (all records), a time in seconds since 1970, or the next offset
    of each partition (a partition without one: all its records), or a function that gives one of these for the topic's
    UUID. With `until_end` it ends where the topic ended when it was opened. Records that cannot be read are skipped,
    counted and logged; of those that have a value, the rest is left out. Raises UsageError and SourceError; an outage
    of the brokers is waited out, at the start for at most `give_up_after` seconds.
    """

    live = True
    ready = True
    length: int | None = None
    passed_over: str | None = None

    def __init__(
        self,
        address: Address,
        settings: KafkaSettings,
        health: Health,
        start: Start | Callable[[str | None], Start] = "latest",
        until_end: bool = False,
        give_up_after: float | None = None,
    ) -> None:
        require_codecs()
        if give_up_after is not None:
            until_answered(address, settings, health, give_up_after)
        must_exist(address, settings)
        self.name = str(address)
        self._topic = address.topic
        self._part_headers = settings.part_headers
        self._health = health
        self._ready: deque[Record] = deque()
        self._skipped = 0
        self._skipped_first = ""
        self._skipped_logged_at = -UNREADABLE_LOG_SECONDS
        self._consumer: KafkaConsumer = until_connected(lambda: _connect(address, settings), address, settings, health)
        self._ends: dict[TopicPartition, int] | None = None
        self._probed_at = self._heard_at = time.monotonic()
        try:
            partitions = self._partitions()
            self._reader = RecordReader(self._consumer, self._topic, settings, self._continue_at)
            self._consumer.assign(partitions)
            self._seek(partitions, start(self._reader.topic_id) if callable(start) else start)
            if until_end:
                self._ends = self._consumer.end_offsets(partitions)
        except kafka_errors.KafkaError as error:
            self._consumer.close(autocommit=False)
            raise UsageError(f"{address}: cannot be read ({describe(error)})") from None

    @property
    def topic_id(self) -> str | None:
        """The UUID of the topic that is read."""
        return self._reader.topic_id

    @property
    def damage(self) -> str | None:
        """What could not be read so far, on one line."""
        found = []
        if self._skipped:
            found.append(f"{self._skipped} records could not be read, or not whole; the first: {self._skipped_first}")
        if self._reader.expired:
            found.append(f"{self._reader.expired} records were removed by retention before they were read")
        if not self._reader.is_first_topic:
            found.append("the topic was deleted and created again meanwhile")
        return f"{self.name}: {'; '.join(found)}" if found else None

    def poll_records(self, capacity: int, timeout: float) -> list[Record] | None:
        """Up to `capacity` records, otherwise like `Source.poll`."""
        if not self._ready:
            if self._ended():
                return None
            self._fetch(timeout)
        return [self._ready.popleft() for _ in range(min(capacity, len(self._ready)))]

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """See `Source.poll`."""
        records = self.poll_records(capacity, timeout)
        if records is None:
            return None
        cluster, topic_id = self._reader.cluster, self._reader.topic_id
        return [frame for record in records for frame in read_frames(record, cluster, topic_id, self._part_headers)]

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Does nothing: no offsets are committed."""

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close(autocommit=False, timeout_ms=CLOSE_TIMEOUT_MS)

    def _fetch(self, timeout: float) -> None:
        try:
            batches = self._reader.poll(timeout)
        except kafka_errors.AuthorizationError as error:
            raise SourceError(f"{self.name}: access refused ({describe(error)})") from None
        except kafka_errors.KafkaError as error:
            self._health.failing(f"{self.name} cannot be polled ({describe(error)})")
            time.sleep(timeout)
            return
        for partition, records in batches.items():
            end = None if self._ends is None else self._ends.get(partition, 0)
            self._ready.extend(
                record for record in records if (end is None or record.offset < end) and not self._skips(record)
            )
        if self._ready:
            self._heard_at = time.monotonic()
            self._health.working()
        elif time.monotonic() - max(self._heard_at, self._probed_at) > PROBE_INTERVAL_SECONDS:
            self._probe()

    def _skips(self, record: Record) -> bool:
        """Whether a record has nothing that could be kept. Counts and logs those that cannot be read."""
        if record.problem is None:
            return False
        about = f"partition {record.partition}, offset {record.offset}: {record.problem.detail}"
        now = time.monotonic()
        if now - self._skipped_logged_at >= UNREADABLE_LOG_SECONDS:
            self._skipped_logged_at = now
            log.warning("kafka: a record of %s cannot be read (%s)", self.name, about)
        self._skipped += 1
        self._skipped_first = self._skipped_first or about
        return record.value is None or record.problem.cause != "content"

    def _continue_at(self, cause: ResetCause, places: Mapping[TopicPartition, int]) -> None:
        if self._ends is not None and cause != "retention":
            self._ends.update(dict.fromkeys(places, 0))  # what was there when it was opened is gone

    def _ended(self) -> bool:
        ends = self._ends
        if ends is None:
            return False
        try:
            return all(self._consumer.position(p, timeout_ms=POSITION_TIMEOUT_MS) >= end for p, end in ends.items())
        except (kafka_errors.KafkaError, TypeError):  # not known yet
            return False

    def _probe(self) -> None:
        """Ask whether the brokers answer and whether there are new partitions, which are read from their start."""
        self._probed_at = time.monotonic()
        try:
            known = self._consumer.assignment()
            self._consumer.end_offsets(known, timeout_ms=PROBE_TIMEOUT_MS)
            new = set(self._partitions()) - known
        except (kafka_errors.KafkaError, UsageError) as error:
            self._health.failing(f"the end of {self.name} cannot be read ({describe(error)})")
            return
        self._health.working()
        if new and self._ends is None:
            places = {partition: self._consumer.position(partition) for partition in known}
            self._consumer.assign([*known, *new])
            for partition, place in places.items():
                self._consumer.seek(partition, place)
            self._consumer.seek_to_beginning(*new)
            log.info("kafka: %d new partitions in %s", len(new), self.name)

    def _partitions(self) -> list[TopicPartition]:
        numbers = self._consumer.partitions_for_topic(self._topic)
        if not numbers:
            raise UsageError(f"{self.name}: no such topic")
        return [TopicPartition(self._topic, number) for number in sorted(numbers)]

    def _seek(self, partitions: Sequence[TopicPartition], start: Start) -> None:
        if start == "earliest":
            self._consumer.seek_to_beginning(*partitions)
        elif start == "latest":
            self._seek_ends(partitions)
        elif isinstance(start, Mapping):
            self._consumer.seek_to_beginning(*partitions)
            for partition in partitions:
                if partition.partition in start:  # where it has expired, with the oldest record left
                    self._consumer.seek(partition, start[partition.partition])
        else:
            assert isinstance(start, float)
            found = self._consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds(start)))
            self._seek_ends([partition for partition in partitions if found.get(partition) is None])
            for partition, place in found.items():
                if place is not None:
                    self._consumer.seek(partition, place.offset)

    def _seek_ends(self, partitions: Sequence[TopicPartition]) -> None:
        # Now, and not with the first poll: records that arrive in between must be read.
        for partition, end in self._consumer.end_offsets(partitions).items() if partitions else ():
            self._consumer.seek(partition, end)


def _connect(address: Address, settings: KafkaSettings) -> KafkaConsumer:
    return KafkaConsumer(
        **consumer_options(settings, address),
        group_id=None,
        auto_offset_reset=NO_RESET,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )
