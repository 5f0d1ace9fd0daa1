"""Offsets of answered frames on their way to the broker: several at once, none twice."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from andon_monitor.kafka.connection import describe
from andon_monitor.kafka.ledger import Ledger

# A commit costs both sides as much as a small frame does; what it could come later by is as little as a poll's wait.
COMMIT_SECONDS = 0.1
COMMIT_TIMEOUT_MS = 5_000

log = logging.getLogger("andon")


class Commits:
    """Commits what the ledger says is answered, one request at a time.

    A request that fails is made up for by the next one, which asks for what is uncommitted then.
    """

    def __init__(self, consumer: KafkaConsumer, ledger: Ledger[TopicPartition]) -> None:
        self._consumer = consumer
        self._ledger = ledger
        self._sending = False
        self._last = 0.0

    @property
    def due(self) -> bool:
        """Whether the last request is answered, and `COMMIT_SECONDS` ago."""
        return not self._sending and time.monotonic() - self._last >= COMMIT_SECONDS

    def send(self) -> None:
        """Send what there is to commit, and do not wait for the answer. To be called where that is `due`."""
        offsets = self._ledger.uncommitted(self._ledger.partitions)
        if not offsets:
            return
        self._sending, self._last = True, time.monotonic()
        try:
            self._consumer.commit_async(with_metadata(offsets), callback=self._answered)
        except kafka_errors.KafkaError as error:
            self._answered(with_metadata(offsets), error)

    def finish(self, patience: float, meanwhile: Callable[[], None]) -> None:
        """Commit all and wait for it; where the group is being rebalanced, when that is over.

        A request on its way would end with the connection, unanswered: what it asks for is asked for again.
        `meanwhile` is to poll, without which no rebalance ends; it is waited for `patience` seconds at most. Raises
        KafkaError.
        """
        deadline = time.monotonic() + patience
        while offsets := self._ledger.uncommitted(self._ledger.partitions):
            try:
                self._consumer.commit(with_metadata(offsets), timeout_ms=COMMIT_TIMEOUT_MS)
                return
            except kafka_errors.RebalanceInProgressError:
                if time.monotonic() > deadline:
                    raise
            meanwhile()

    async def before_giving_up(self, partitions: Collection[TopicPartition]) -> None:
        """Commit what is answered of these, on the client's own loop."""
        offsets = self._ledger.uncommitted(partitions)
        if not offsets:
            return
        try:
            await self._consumer.commit_async(with_metadata(offsets))
        except kafka_errors.KafkaError as error:
            log.warning("kafka: offsets not committed before the rebalance (%s)", describe(error))

    def _answered(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], response: Any) -> None:
        """May be called on the client's thread."""
        if isinstance(response, Exception):
            log.warning("kafka: offsets not committed (%s); their frames may come again", describe(response))
        else:
            self._ledger.committed({partition: offset.offset for partition, offset in offsets.items()})
        self._sending = False


def with_metadata(offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
    """Offsets as the client takes them."""
    return {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
