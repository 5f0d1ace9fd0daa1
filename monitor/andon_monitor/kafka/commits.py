"""Offsets of answered frames committed to the brokers: many frames with one request, no offset twice."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from andon_monitor.kafka.connection import describe
from andon_monitor.kafka.ledger import Ledger
from andon_monitor.kafka.reader import RecordReader

# A commit costs client and broker as much as a small frame does; this delay is as short as the wait of one poll.
COMMIT_INTERVAL_SECONDS = 0.1
COMMIT_TIMEOUT_MS = 5_000

log = logging.getLogger("andon")


class OffsetCommitter:
    """Commits what the ledger has as answered, one request at a time.

    After a request that failed, the next one asks for everything that is uncommitted by then.
    """

    def __init__(self, consumer: KafkaConsumer, ledger: Ledger[TopicPartition], reader: RecordReader) -> None:
        self._consumer = consumer
        self._ledger = ledger
        self._reader = reader
        self._waiting = False  # for the answer to a request
        self._sent_at = 0.0

    @property
    def due(self) -> bool:
        """Whether the last request is answered, and was sent at least `COMMIT_INTERVAL_SECONDS` ago."""
        return not self._waiting and time.monotonic() - self._sent_at >= COMMIT_INTERVAL_SECONDS

    def send(self) -> None:
        """Send a request for all uncommitted offsets without waiting for the answer. Call it only where it is `due`."""
        offsets = self._ledger.uncommitted(self._ledger.partitions)
        if not offsets:
            return
        self._waiting, self._sent_at = True, time.monotonic()
        try:
            self._consumer.commit_async(self._with_metadata(offsets), callback=self._answered)
        except kafka_errors.KafkaError as error:
            self._answered(self._with_metadata(offsets), error)

    def finish(self, patience: float, meanwhile: Callable[[], None]) -> None:
        """Commit everything and wait for the answer; during a rebalance of the group, try again when it is over.

        The answer to a request already sent would be lost with the connection, so its offsets are asked for again.
        `meanwhile` must poll the consumer: no rebalance ends without that. After `patience` seconds of rebalancing
        it gives up. Raises KafkaError.
        """
        deadline = time.monotonic() + patience
        while offsets := self._ledger.uncommitted(self._ledger.partitions):
            try:
                self._consumer.commit(self._with_metadata(offsets), timeout_ms=COMMIT_TIMEOUT_MS)
                return
            except kafka_errors.RebalanceInProgressError:
                if time.monotonic() > deadline:
                    raise
            meanwhile()

    async def before_giving_up(self, partitions: Collection[TopicPartition]) -> None:
        """Commit what is answered of these partitions, on the client's own loop."""
        offsets = self._ledger.uncommitted(partitions)
        if not offsets:
            return
        try:
            await self._consumer.commit_async(self._with_metadata(offsets))
        except kafka_errors.KafkaError as error:
            log.warning("kafka: offsets not committed before the rebalance (%s)", describe(error))

    def _with_metadata(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        return with_metadata(offsets, self._reader.topic_id)

    def _answered(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], response: Any) -> None:
        """Take note of an answer. May be called on the client's thread."""
        if isinstance(response, Exception):
            log.warning("kafka: offsets not committed (%s); their frames may be delivered again", describe(response))
        else:
            self._ledger.committed({partition: offset.offset for partition, offset in offsets.items()})
        self._waiting = False


def with_metadata(
    offsets: Mapping[TopicPartition, int], topic_id: str | None
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Offsets in the form that the client takes; their metadata is the UUID of the topic that they belong to."""
    return {partition: OffsetAndMetadata(offset, topic_id or "", -1) for partition, offset in offsets.items()}
