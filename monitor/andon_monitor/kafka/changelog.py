"""A compacted topic that holds a state: read to its end when a partition is taken over."""

import logging
import time

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from andon_monitor.errors import SourceError
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.connection import NO_RESET, consumer_options, describe
from andon_monitor.kafka.health import Health, until_connected
from andon_monitor.kafka.reader import RecordReader
from andon_monitor.settings.groups import KafkaSettings

POLL_SECONDS = 0.2
LOG_SECONDS = 3.0  # after which a wait is worth a line of the log
POSITION_TIMEOUT_MS = 1_000

log = logging.getLogger("andon")


class Changelog:
    """Reads the state of a partition that transactions wrote."""

    def __init__(self, address: Address, settings: KafkaSettings, health: Health) -> None:
        self._address = address
        self._settings = settings
        self._health = health

    def read(self, partition: int) -> list[tuple[bytes, bytes | None]]:
        """Key and value of all committed records, in their order.

        It reads to the log's end, not to that of committed data, and so waits for transactions of an earlier owner: one
        that was killed is aborted after `kafka.transaction_timeout`. Raises SourceError where that takes as long as
        `kafka.poll_timeout`.
        """
        place = TopicPartition(self._address.topic, partition)
        options = consumer_options(self._settings, self._address) | {"auto_offset_reset": NO_RESET, "group_id": None}
        consumer = until_connected(lambda: KafkaConsumer(**options), self._address, self._settings, self._health)
        try:
            consumer.assign([place])
            consumer.seek_to_beginning(place)
            return self._read(consumer, place)
        finally:
            consumer.close(autocommit=False, timeout_ms=POSITION_TIMEOUT_MS)

    def _read(self, consumer: KafkaConsumer, place: TopicPartition) -> list[tuple[bytes, bytes | None]]:
        reader = RecordReader(consumer, self._address.topic, self._settings, lambda cause, places: None)
        found: list[tuple[bytes, bytes | None]] = []
        started, logged = time.monotonic(), False
        while True:
            waited = time.monotonic() - started
            try:
                for records in reader.poll(POLL_SECONDS).values():
                    found += [(record.key or b"", record.value) for record in records if record.problem is None]
                position = consumer.position(place, timeout_ms=POSITION_TIMEOUT_MS)
                end = consumer.highwater(place)
            except kafka_errors.KafkaError as error:
                self._health.failing(f"{self._address} cannot be read ({describe(error)})")
                position = end = None
            if position is not None and end is not None and position >= end:
                return found
            if waited > self._settings.poll_timeout:
                raise SourceError(f"{self._address}: partition {place.partition} cannot be read to its end; stopping")
            if waited > LOG_SECONDS and not logged:
                logged = True
                log.info("kafka: waiting for the end of partition %d of %s", place.partition, self._address.topic)
