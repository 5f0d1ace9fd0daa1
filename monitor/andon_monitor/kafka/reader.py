"""A topic's records polled through everything that may happen to its log: retention, truncation, a new topic."""

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Literal

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from andon_monitor.kafka.client_internals import (
    RecordReading,
    cluster_id,
    is_metadata_stale,
    refresh_metadata,
    topic_id,
)
from andon_monitor.kafka.connection import PROBE_TIMEOUT_MS, milliseconds
from andon_monitor.kafka.records import Record
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics

ResetCause = Literal["retention", "recreated", "truncated"]  # `telemetry.catalogue.RESET_CAUSES`
# Called with the partitions whose reading continues elsewhere, and the offsets there.
OnReset = Callable[[ResetCause, Mapping[TopicPartition, int]], None]

log = logging.getLogger("andon")


class RecordReader:
    """Polls a consumer whose `auto_offset_reset` is none: where to read on is decided here, counted and logged.

    Records that retention removed before they were read are counted, and reading continues at the log's start. A topic
    that was deleted and created again is read from its start. `on_reset` is called before records from there come.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        topic: str,
        settings: KafkaSettings,
        on_reset: OnReset,
        metrics: Metrics | None = None,
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._on_reset = on_reset
        self._metrics = metrics
        self._reading = RecordReading(consumer, settings.max_decompressed_bytes, settings.fetch_bytes)
        self.cluster = cluster_id(consumer)
        self.topic_id = topic_id(consumer, topic)
        self.is_first_topic = True  # False after the topic was deleted and created again
        self._expired_before: dict[TopicPartition, int] = {}  # where the log started when it was last counted
        self.expired = 0
        self.unreadable = 0

    def poll(self, timeout: float) -> dict[TopicPartition, list[Record]]:
        """The records that arrive within `timeout` seconds. Raises KafkaError."""
        try:
            batches = self._reading.poll(milliseconds(timeout))
        except kafka_errors.NoOffsetForPartitionError:
            return {}  # a partition was assigned during this poll; its position is set before the next one
        except kafka_errors.OffsetOutOfRangeError as error:
            self._out_of_range(error.args[0])
            return {}
        except kafka_errors.LogTruncationError as error:
            self._truncated(error.divergent_offsets)
            return {}
        if self._recreated(after_error=bool(batches) and is_metadata_stale(self._consumer)):
            return {}
        for records in batches.values():
            self._count(records)
        return batches

    def reset(self, cause: ResetCause, places: Mapping[TopicPartition, int], is_new: bool = True) -> None:
        """Continue at these offsets; counted where `is_new`."""
        if self._metrics is not None and is_new:
            # A new topic's partitions may be assigned a little later: it counts all the same.
            self._metrics.kafka_position_resets.labels(cause).inc(max(1, len(places)))
        self._on_reset(cause, places)
        for partition, offset in places.items():
            if partition in self._consumer.assignment():
                self._consumer.seek(partition, offset)

    def starts(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset at which each log starts. Raises KafkaError."""
        return dict(self._consumer.beginning_offsets(partitions, timeout_ms=PROBE_TIMEOUT_MS)) if partitions else {}

    def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset at which each log ends. Raises KafkaError."""
        return dict(self._consumer.end_offsets(partitions, timeout_ms=PROBE_TIMEOUT_MS)) if partitions else {}

    def _recreated(self, after_error: bool) -> bool:
        """Whether the topic is another one than before; then its partitions are read from their starts.

        After an error the brokers are asked: what is known of the topic may be older than the records that were read.
        """
        if after_error:
            with suppress(kafka_errors.KafkaError):  # the brokers are away: reading goes on with what is known
                refresh_metadata(self._consumer, PROBE_TIMEOUT_MS)
        known = topic_id(self._consumer, self._topic)
        if known is None or known == self.topic_id:
            return False
        before = self.topic_id
        if before is not None:
            places = self.starts(self._consumer.assignment())
            self.topic_id, self.is_first_topic = known, False
            self._expired_before.clear()
            log.warning(
                "kafka: topic %s was deleted and created again (id %s, before %s); reading it from its start",
                *(self._topic, known, before),
            )
            self.reset("recreated", places)
            return True
        self.topic_id = known
        return False

    def _is_deleted(self) -> bool:
        """Whether the topic is gone; where it is created again is known later."""
        return self.topic_id is not None and topic_id(self._consumer, self._topic) is None

    def _out_of_range(self, places: Mapping[TopicPartition, int]) -> None:
        if self._recreated(after_error=True) or self._is_deleted():
            return
        starts, ends = self.starts(places), self.ends(places)
        for partition, offset in places.items():
            start, end = starts[partition], ends[partition]
            if offset < start:
                # The committed offset may lead into the same gap again before another one is committed.
                offset = max(offset, self._expired_before.get(partition, 0))
                self.reset("retention", {partition: start}, is_new=offset < start)
                if offset >= start:
                    continue
                self._expired_before[partition] = start
                self.expired += start - offset
                if self._metrics is not None:
                    self._metrics.kafka_expired_records.inc(start - offset)
                log.warning(
                    "kafka: retention removed %d records of partition %d of %s before they were read (offsets %d to "
                    "%d); reading on at %d, where the log starts",
                    *(start - offset, partition.partition, self._topic, offset, start - 1, start),
                )
            elif offset > end:
                log.warning(
                    "kafka: partition %d of %s ends at offset %d, before %d, up to which it was read: its records were "
                    "lost or the topic is a new one; reading it from its start at %d",
                    *(partition.partition, self._topic, end, offset, start),
                )
                self.reset("truncated", {partition: start})

    def _truncated(self, divergent: Mapping[TopicPartition, Any]) -> None:
        """A new leader has fewer records than we read: continue where its log differs from what we read."""
        if self._recreated(after_error=True) or self._is_deleted():
            return
        for partition, place in divergent.items():
            position = self._consumer.position(partition, timeout_ms=PROBE_TIMEOUT_MS)
            if position is None or (place is not None and position <= place.offset):
                continue  # the answer to a question that was asked before reading continued elsewhere
            if place is None:
                self._out_of_range({partition: position})
            else:
                log.warning(
                    "kafka: the brokers lost records of partition %d of %s; reading on at %d",
                    *(partition.partition, self._topic, place.offset),
                )
                self.reset("truncated", {partition: place.offset})

    def _count(self, records: Collection[Record]) -> None:
        for record in records:
            if record.problem is None:
                continue
            self.unreadable += 1
            if self._metrics is not None:
                self._metrics.kafka_unreadable_records.labels(record.problem.cause).inc()
