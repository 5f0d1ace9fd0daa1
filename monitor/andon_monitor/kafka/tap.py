"""A topic read without being noticed: in no consumer group, committing nothing, so that no monitor is disturbed."""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from andon_monitor.errors import SourceError, UsageError
from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.connection import PROBE_TIMEOUT_MS, client_options, describe, milliseconds
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.messages import read_frame
from andon_monitor.kafka.topics import must_exist
from andon_monitor.kafka.waiting import until_connected
from andon_monitor.settings.groups import KafkaSettings

PROBE_SECONDS = 3.0  # of silence, after which we ask whether the brokers are there and partitions have been added

log = logging.getLogger("andon")


class KafkaTap:
    """Every record of a topic, each once, those of a partition in their order.

    `start`: "latest" (what comes from now on), "earliest" (all there is), a time in seconds since 1970, or the next
    offset of each partition (one that is missing: all there is). With `until_end` it ends where the topic ended when it
    was opened. Raises UsageError and SourceError; an outage of the brokers is waited out.
    """

    live = True
    ready = True
    length: int | None = None

    def __init__(
        self,
        address: Address,
        settings: KafkaSettings,
        health: Health,
        start: str | float | Mapping[int, int] = "latest",
        until_end: bool = False,
    ) -> None:
        must_exist(address, settings)
        self.name = str(address)
        self._topic = address.topic
        self._health = health
        self._ready: deque[Any] = deque()
        self._consumer: KafkaConsumer = until_connected(lambda: _connect(address, settings), address, settings, health)
        self.cluster = self._consumer._cluster.cluster_id or "unknown"  # in its metadata, but in no public method
        self._ends: dict[TopicPartition, int] | None = None
        self._asked = self._heard = time.monotonic()
        try:
            partitions = self._partitions()
            self._consumer.assign(partitions)
            self._seek(partitions, start)
            if until_end:
                self._ends = self._consumer.end_offsets(partitions)
        except kafka_errors.KafkaError as error:
            self._consumer.close(autocommit=False)
            raise UsageError(f"{address}: cannot be read ({describe(error)})") from None

    def poll_records(self, capacity: int, timeout: float) -> list[Any] | None:
        """Up to `capacity` records as kafka-python gives them, else as `Source.poll`."""
        if not self._ready:
            if self._ended():
                return None
            self._fetch(timeout)
        return [self._ready.popleft() for _ in range(min(capacity, len(self._ready)))]

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """See `Source.poll`."""
        records = self.poll_records(capacity, timeout)
        return None if records is None else [read_frame(record, self.cluster) for record in records]

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Nothing to note."""

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close(autocommit=False, timeout_ms=1_000)

    def _fetch(self, timeout: float) -> None:
        try:
            batches = self._consumer.poll(milliseconds(timeout))
        except kafka_errors.AuthorizationError as error:
            raise SourceError(f"{self.name}: access refused ({describe(error)})") from None
        except kafka_errors.KafkaError as error:
            self._health.failing(f"cannot be polled ({describe(error)})")
            time.sleep(timeout)
            return
        for partition, records in batches.items():
            end = None if self._ends is None else self._ends.get(partition, 0)
            self._ready.extend(record for record in records if end is None or record.offset < end)
        if self._ready:
            self._heard = time.monotonic()
            self._health.working()
        elif time.monotonic() - max(self._heard, self._asked) > PROBE_SECONDS:
            self._ask()

    def _ended(self) -> bool:
        if self._ends is None:
            return False
        try:
            return all(self._consumer.position(p, timeout_ms=1_000) >= end for p, end in self._ends.items())
        except (kafka_errors.KafkaError, TypeError):  # not known yet
            return False

    def _ask(self) -> None:
        """Whether the brokers answer, and whether there are new partitions, which are read from their start."""
        self._asked = time.monotonic()
        try:
            known = self._consumer.assignment()
            self._consumer.end_offsets(known, timeout_ms=PROBE_TIMEOUT_MS)
            new = set(self._partitions()) - known
        except (kafka_errors.KafkaError, UsageError) as error:
            self._health.failing(f"no answer from {self.name} ({error})")
            return
        self._health.working()
        if new and self._ends is None:
            places = {partition: self._consumer.position(partition) for partition in known}
            self._consumer.assign([*known, *new])
            for partition, place in places.items():
                self._consumer.seek(partition, place)
            self._consumer.seek_to_beginning(*new)
            log.info("kafka: %d partitions more in %s", len(new), self.name)

    def _partitions(self) -> list[TopicPartition]:
        numbers = self._consumer.partitions_for_topic(self._topic)
        if not numbers:
            raise UsageError(f"{self.name}: no such topic")
        return [TopicPartition(self._topic, number) for number in sorted(numbers)]

    def _seek(self, partitions: Sequence[TopicPartition], start: str | float | Mapping[int, int]) -> None:
        if start == "earliest":
            self._consumer.seek_to_beginning(*partitions)
        elif start == "latest":
            self._seek_ends(partitions)
        elif isinstance(start, Mapping):
            self._consumer.seek_to_beginning(*partitions)
            for partition in partitions:
                if partition.partition in start:  # where it has expired, reading goes on with what is left
                    self._consumer.seek(partition, start[partition.partition])
        else:
            assert isinstance(start, float)
            found = self._consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds(start)))
            self._seek_ends([partition for partition in partitions if found.get(partition) is None])
            for partition, place in found.items():
                if place is not None:
                    self._consumer.seek(partition, place.offset)

    def _seek_ends(self, partitions: Sequence[TopicPartition]) -> None:
        # Now, and not with the first poll: what comes in between is to be recorded.
        for partition, end in self._consumer.end_offsets(partitions).items() if partitions else ():
            self._consumer.seek(partition, end)


def _connect(address: Address, settings: KafkaSettings) -> KafkaConsumer:
    return KafkaConsumer(
        **client_options(settings, address),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # where records expired before they were read, with those that are left
        isolation_level="read_committed",
        max_poll_records=settings.poll_records,
        max_partition_fetch_bytes=settings.max_message_bytes,
        fetch_max_bytes=settings.fetch_bytes,
        fetch_max_wait_ms=200,
        metadata_max_age_ms=10_000,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )
