"""What we use of kafka-python that is not part of its public interface: all of it is here, and nowhere else.

`tests/monitor/kafka/test_client_internals.py` fails when a new version moves one of them; the dependency is pinned to
the minor version for that reason.
"""

import logging
import struct
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.record import MemoryRecords

from andon_monitor.formats.decompression import Codec, DamagedError, TooLargeError, decompress
from andon_monitor.kafka.records import MAX_OFFSETS_OF_DAMAGED_BATCH, Batch, Problem, Record, read_records, unreadable

__all__ = [
    "AbstractTokenProvider",
    "AsyncConsumerRebalanceListener",
    "CooperativeStickyAssignor",
    "RangePartitionAssignor",
    "RecordReading",
    "cluster_id",
    "is_joining",
    "is_metadata_stale",
    "keep_joining",
    "refresh_metadata",
    "sleep_on_client_loop",
    "topic_id",
]

UNKNOWN_CLUSTER = "unknown"
NO_TOPIC_ID = UUID(int=0)
# A batch is read so often before it counts as damaged: the damage may have come with one answer.
READS_TO_CONFIRM_DAMAGE = 3
LEGACY_OVERHEAD_BYTES = 12  # offset and length in front of a message of the format before Kafka 0.11
MAGIC_WITH_HEADERS = 2  # the format of records since Kafka 0.11
OFFSET = struct.Struct(">q")
CODECS: Mapping[int, Codec] = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}  # as the attributes of a batch name them

log = logging.getLogger("andon")


def cluster_id(consumer: KafkaConsumer) -> str:
    """The id of the cluster that a connected consumer reads from; "unknown" where the brokers do not say."""
    return consumer._cluster.cluster_id or UNKNOWN_CLUSTER


def topic_id(consumer: KafkaConsumer, topic: str) -> str | None:
    """The topic's UUID as of the last metadata; None before there are some, and from brokers before Kafka 2.8."""
    known = consumer._cluster.topic_id(topic)
    return None if known is None or known == NO_TOPIC_ID else str(known)


def is_metadata_stale(consumer: KafkaConsumer) -> bool:
    """Whether the client has asked for metadata, after an error of a partition for example, and has no answer yet."""
    return bool(consumer._cluster.need_update)


def refresh_metadata(consumer: KafkaConsumer, timeout_ms: int) -> None:
    """Ask the brokers for metadata and wait for the answer. Raises KafkaError."""
    # An answer that is on its way may have been written before the change that the caller looks for.
    if consumer._cluster.metadata_refresh_in_progress:
        consumer._net.run(consumer._manager.wait_for, consumer._cluster.request_update(), timeout_ms)
    consumer._net.run(consumer._manager.wait_for, consumer._cluster.request_update(), timeout_ms)


def is_joining(consumer: KafkaConsumer) -> bool:
    """Whether the consumer has asked to join its group and has not yet taken note of the answer."""
    return consumer._coordinator._join_task is not None


def keep_joining(consumer: KafkaConsumer) -> None:
    """Let the next poll finish a joining that was begun in an earlier one.

    A leader that rejoins because the topic's partitions changed forgets why once it has shared them out. If the poll
    ended before the group's answer came, no later poll would look at the answer, and the member would stay without
    partitions for good.
    """
    if consumer._coordinator.rejoining:
        consumer._coordinator.request_rejoin()


async def sleep_on_client_loop(consumer: KafkaConsumer, seconds: float) -> None:
    """Sleep inside a rebalance listener. Any other sleep would block the client's loop and its heartbeats."""
    await consumer._net.sleep(seconds)


class _PollFullError(kafka_errors.KafkaError):  # type: ignore[misc]
    """The poll before this one returned as many bytes as one may; poll again."""


class RecordReading:
    """Makes a consumer return `Record`s, whatever its batches hold, where its own parser would raise.

    A batch is decompressed to at most `max_decompressed` bytes. A poll returns few records more than `max_poll_bytes`.
    """

    def __init__(self, consumer: KafkaConsumer, max_decompressed: int, max_poll_bytes: int) -> None:
        self.consumer = consumer
        self.max_decompressed = max_decompressed
        self.poll_bytes = 0  # returned by the present poll
        self.max_poll_bytes = max_poll_bytes
        self.damaged: dict[TopicPartition, tuple[int, int]] = {}  # the offset of a batch, how often it was read
        reading = self

        class Reader(_PartitionRecords):
            _reading = reading

        consumer._fetcher.PartitionRecords = Reader

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        """As the consumer's own `poll`."""
        keep_joining(self.consumer)
        self.poll_bytes = 0
        batches: dict[TopicPartition, list[Record]] = self.consumer.poll(timeout_ms)
        # The fetcher would raise it in the next poll, and until then its traceback keeps these records in memory.
        fetcher = self.consumer._fetcher
        parked = fetcher._next_in_line_exception_metadata
        if parked is not None and isinstance(parked.exception, _PollFullError):
            fetcher._next_in_line_exception_metadata = None
            parked.exception.__traceback__ = None
        return batches

    def confirmed(self, partition: TopicPartition, offset: int) -> bool:
        """Whether the batch at the offset has been read often enough to count as damaged."""
        known, reads = self.damaged.get(partition, (offset, 0))
        reads = reads + 1 if known == offset else 1
        self.damaged[partition] = (offset, reads)
        return reads >= READS_TO_CONFIRM_DAMAGE


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What was fetched of one partition; the fetcher makes one for each answer and takes records from it."""

    _reading: RecordReading
    next_fetch_offset: int

    def take(self, n: int | None = None) -> list[Record]:
        """Up to `n` records, fewer where they are large. Raises _PollFullError after a poll's bytes are used up."""
        reading = self._reading
        if reading.poll_bytes >= reading.max_poll_bytes:
            raise _PollFullError
        records: list[Record] = []
        iterator = self.record_iterator
        for record in iterator:
            records.append(record)
            reading.poll_bytes += record.size
            if len(records) == n or reading.poll_bytes >= reading.max_poll_bytes:
                break
        return records

    def _unpack_records(self, tp: TopicPartition, records: MemoryRecords, *_: Any) -> Iterator[Record]:
        while True:
            try:
                batch = records.next_batch()
            except Exception as error:  # shorter than the header of a batch
                yield from self._skip(tp, error)
                break
            if batch is None:
                break
            if not _is_sound(batch):
                if not self._reading.confirmed(tp, batch.base_offset):
                    log.info(
                        "kafka: the batch at offset %d of partition %d of %s is damaged; reading it again",
                        *(batch.base_offset, tp.partition, tp.topic),
                    )
                    break
                yield from self._damaged(tp, batch, records)
                continue
            last = getattr(batch, "last_offset", batch.base_offset)
            try:
                if batch.magic < MAGIC_WITH_HEADERS:
                    yield from self._noted(self._legacy(tp, batch))
                elif not self._hidden(batch):
                    self.leader_epoch = batch.leader_epoch
                    yield from self._noted(self._modern(tp, batch))
            except Exception as error:  # nothing in a batch may stop the reading of those after it
                header = Batch(tp.topic, tp.partition, batch.base_offset, last, 1, 0, None)
                yield from self._noted(
                    unreadable(
                        header, self.next_fetch_offset, last, Problem("content", f"{type(error).__name__}: {error}")
                    )
                )
            # The last offset of a batch may be that of a record that compaction removed, or of a marker.
            self.next_fetch_offset = max(self.next_fetch_offset, last + 1)
        self.drain()

    def _noted(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            self.records_read += 1
            self.bytes_read += record.size
            self.next_fetch_offset = record.offset + 1
            yield record

    def _hidden(self, batch: Any) -> bool:
        """Whether a batch has no records for readers: a marker of a transaction, or records of one that was aborted."""
        if batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if batch.is_control_batch:
                try:
                    aborts = self._contains_abort_marker(batch)
                except Exception:  # a marker of a kind that this client does not know
                    aborts = False
                if aborts:
                    self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)

    def _modern(self, tp: TopicPartition, batch: Any) -> Iterator[Record]:
        header = _header(tp, batch)
        data: bytes | memoryview = memoryview(batch._buffer)[batch._pos :]
        if batch.compression_type:
            try:
                data = _decompress(batch.compression_type, data, self._reading.max_decompressed)
            except TooLargeError as error:
                return unreadable(header, header.base_offset, header.last_offset, Problem("too_large", str(error)))
            except DamagedError as error:
                problem = Problem("compression", str(error))
                return unreadable(header, header.base_offset, header.last_offset, problem, bytes(data))
        return read_records(header, data)

    def _legacy(self, tp: TopicPartition, batch: Any) -> Iterator[Record]:
        """Records of the formats before Kafka 0.11, which have no headers."""
        first = batch.base_offset
        header = Batch(tp.topic, tp.partition, first, first, 1, batch._timestamp or 0, None)
        try:
            if batch.compression_type:
                _, data = batch._read_key_value(batch.KEY_OFFSET_V1 if batch.magic else batch.KEY_OFFSET_V0)
                batch._buffer = memoryview(_decompress(batch.compression_type, data, self._reading.max_decompressed))
                batch._decompressed = True
                _check_legacy_lengths(batch._buffer)
            for record in batch:
                if record.offset >= self.fetch_offset:
                    yield Record(
                        tp.topic, tp.partition, record.offset, record.timestamp or 0, record.key, record.value, ()
                    )
        except TooLargeError as error:
            yield from unreadable(header, max(self.next_fetch_offset, 0), first, Problem("too_large", str(error)))
        except Exception as error:
            problem = Problem("content", f"a batch of an old format ({error})")
            yield from unreadable(header, self.next_fetch_offset, first, problem)

    def _damaged(self, tp: TopicPartition, batch: Any, records: MemoryRecords) -> Iterator[Record]:
        """The offsets of a batch whose checksum is wrong. Its bytes are the value of the first."""
        first, following = batch.base_offset, records._next_slice
        if following is not None and OFFSET.unpack_from(following)[0] > first:
            last = OFFSET.unpack_from(following)[0] - 1
        else:
            claimed = getattr(batch, "last_offset", first)
            end = self._reading.consumer.highwater(tp)
            last = max(first, claimed if end is None else min(claimed, end - 1))
        header = Batch(tp.topic, tp.partition, first, last, last - first + 1, 0, None)
        problem = Problem("checksum", "the checksum of its batch is wrong: it is damaged on the broker")
        many = last - first >= MAX_OFFSETS_OF_DAMAGED_BATCH
        raw = bytes(batch._buffer)
        if many:
            problem = Problem(problem.cause, f"{problem.detail} (offsets {first} to {last})")
        yield from self._noted(unreadable(header, first, first if many else last, problem, raw))
        self.next_fetch_offset = last + 1

    def _skip(self, tp: TopicPartition, error: Exception) -> Iterator[Record]:
        first = self.next_fetch_offset
        if self._reading.confirmed(tp, first):
            header = Batch(tp.topic, tp.partition, first, first, 1, 0, None)
            problem = Problem("checksum", f"the broker's answer cannot be taken apart ({error})")
            yield from self._noted(unreadable(header, first, first, problem))


def _is_sound(batch: Any) -> bool:
    try:
        return bool(batch.validate_crc())
    except Exception:
        return False


def _header(tp: TopicPartition, batch: Any) -> Batch:
    appended = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    return Batch(
        tp.topic,
        tp.partition,
        batch.base_offset,
        batch.last_offset,
        batch.records_count,
        batch.first_timestamp,
        appended,
    )


def _decompress(number: int, data: bytes | memoryview, limit: int) -> bytes:
    """The content of a batch. Raises TooLargeError, and DamagedError, also for an unknown compression."""
    codec = CODECS.get(number)
    if codec is None:
        raise DamagedError(f"unknown compression {number}")
    return decompress(codec, data, limit)


def _check_legacy_lengths(data: memoryview) -> None:
    position = 0
    while position < len(data):
        length = int.from_bytes(data[position + OFFSET.size : position + LEGACY_OVERHEAD_BYTES], "big", signed=True)
        if length < 0:
            raise DamagedError("a negative length")
        position += LEGACY_OVERHEAD_BYTES + length
