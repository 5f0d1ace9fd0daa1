"""Consumer lag as a metric, and the probe that tells a quiet topic from a stuck consumer."""

import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from andon_monitor.errors import SourceError
from andon_monitor.kafka.connection import PROBE_TIMEOUT_MS, describe
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.ledger import Ledger
from andon_monitor.telemetry.metrics import Metrics

# Without frames for this long we ask where the topic ends: is there nothing to read, or does nothing reach us?
PROBE_INTERVAL_SECONDS = 3.0
MEASURE_INTERVAL_SECONDS = 1.0


class ConsumerLag:
    """How many records of our partitions are not answered yet.

    `stuck_timeout`: seconds without a frame, though records wait, after which the consumer counts as stuck.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        ledger: Ledger[TopicPartition],
        name: str,
        stuck_timeout: float,
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._consumer = consumer
        self._ledger = ledger
        self._name = name
        self._stuck_timeout = stuck_timeout
        self._metrics = metrics
        self._health = health
        self._progress_at = self._probed_at = time.monotonic()
        self._measured_at = 0.0

    def progress(self) -> None:
        """Frames came, or none were wanted: the consumer is not stuck."""
        self._progress_at = time.monotonic()

    def measure_if_due(self, idle: bool) -> None:
        """Set the metric from the ends that came with the last fetch.

        `idle`: all records before the consumer's positions are in the ledger. What is skipped there (markers of
        transactions, records that were compacted or aborted) is then done, and does not count as lag.
        """
        if time.monotonic() - self._measured_at > MEASURE_INTERVAL_SECONDS:
            self._measured_at = time.monotonic()
            if idle:
                self._skip_gaps()
            self._measure({partition: self._consumer.highwater(partition) for partition in self._consumer.assignment()})

    def probe_if_silent(self) -> None:
        """After a while without frames ask the brokers for the ends of our partitions, which shows that they answer.

        Raises SourceError where records wait and none has come for `stuck_timeout`.
        """
        if time.monotonic() - max(self._progress_at, self._probed_at) <= PROBE_INTERVAL_SECONDS:
            return
        self._probed_at = time.monotonic()
        partitions = self._ledger.partitions
        if not partitions:
            return
        try:
            ends = self._consumer.end_offsets(partitions, timeout_ms=PROBE_TIMEOUT_MS)
        except kafka_errors.KafkaError as error:
            self._health.failing(f"the end of {self._name} cannot be read ({describe(error)})")
            self.progress()  # an outage is waited out: the consumer is not stuck
            return
        self._health.working()
        lag = self._measure(ends)
        silent = time.monotonic() - self._progress_at
        if lag == 0:
            self.progress()
        elif silent > self._stuck_timeout:
            raise SourceError(
                f"{self._name}: {lag} records wait and none has come for {silent:.0f} s; stopping, restart the monitor"
            )

    def _skip_gaps(self) -> None:
        for partition in self._ledger.partitions:
            try:
                position = self._consumer.position(partition, timeout_ms=1)
            except (kafka_errors.KafkaError, AssertionError):
                continue  # no longer ours, or not known yet
            if position is not None:
                self._ledger.skip_to(partition, position)

    def _measure(self, ends: Mapping[TopicPartition, int | None]) -> int:
        """Set the metric of each partition; returns the sum, in records."""
        total = 0
        for partition, end in ends.items():
            done = self._ledger.done(partition)
            try:
                position = done if done is not None else self._consumer.position(partition, timeout_ms=1)
            except kafka_errors.KafkaError:
                position = None
            if end is not None and position is not None:
                lag = max(0, end - position)
                self._metrics.consumer_lag_records.labels(partition.topic, partition.partition).set(lag)
                total += lag
        return total
