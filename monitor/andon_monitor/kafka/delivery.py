"""Messages sent until the brokers acknowledge them, through any outage."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from andon_monitor.kafka.address import Address
from andon_monitor.kafka.connection import describe, producer_options
from andon_monitor.kafka.health import Backoff, Health, until_connected
from andon_monitor.kafka.messages import Message, adapted
from andon_monitor.settings.groups import KafkaSettings

ACKNOWLEDGEMENT_SECONDS = 2.0  # without an acknowledgement for this long we report an outage
CLOSE_SECONDS = 5.0
MAX_UNACKNOWLEDGED_BYTES = 2**25  # the producer keeps a copy or two of what is not acknowledged


class Delivery:
    """Sends messages in their order and returns once every one is acknowledged by all in-sync replicas.

    What fails is sent again until it works. Meanwhile the caller waits, so that the pipeline takes no more frames.
    """

    def __init__(self, address: Address, settings: KafkaSettings, health: Health) -> None:
        self._address = address
        self._settings = settings
        self._health = health
        self._producer: KafkaProducer = until_connected(self._connect, address, settings, health)

    def _connect(self) -> KafkaProducer:
        return KafkaProducer(**producer_options(self._settings, self._address))

    def send(self, messages: Sequence[Message]) -> None:
        """Return once all of them are acknowledged."""
        backoff = Backoff()
        remaining = list(messages)
        while remaining:
            try:
                for group in groups(remaining):
                    futures = [submit(self._producer, message) for message in group]
                    for future in futures:
                        wait_for(future, self._health)
                        remaining.pop(0)
            except kafka_errors.KafkaError as error:
                topic = remaining[0].topic
                self._health.failing(f"no messages can be sent to {topic} ({describe(error)})")
                remaining[0] = adapted(remaining[0], error)
                # Later messages must not overtake one that failed: a new producer has none of them queued.
                discard(self._producer)
                backoff.wait()
                self._producer = until_connected(self._connect, self._address, self._settings, self._health)
        if messages:
            self._health.working()

    def close(self) -> None:
        """Close the connections; everything is acknowledged by now."""
        discard(self._producer, CLOSE_SECONDS)


def groups(messages: Sequence[Message]) -> list[list[Message]]:
    """The messages in groups of at most `MAX_UNACKNOWLEDGED_BYTES`, each with one message at least."""
    found: list[list[Message]] = []
    size = 0
    for message in messages:
        length = len(message.value or b"")
        if not found or size + length > MAX_UNACKNOWLEDGED_BYTES:
            found.append([])
            size = 0
        found[-1].append(message)
        size += length
    return found


def discard(producer: KafkaProducer, seconds: float = 0) -> None:
    """Close a producer within `seconds`; what it has not sent by then is dropped."""
    with suppress(kafka_errors.KafkaError):
        producer.close(timeout=seconds)


def submit(producer: KafkaProducer, message: Message) -> Any:
    """Hand a message to the producer; returns the future of its acknowledgement. Raises KafkaTimeoutError."""
    return producer.send(
        message.topic,
        value=message.value,
        key=message.key,
        headers=list(message.headers),
        timestamp_ms=message.timestamp_ms,
        partition=message.partition,
    )


def wait_for(future: Any, health: Health, patience: float | None = None) -> None:
    """Wait until a message is acknowledged. Raises KafkaError: KafkaTimeoutError after `patience` seconds."""
    started = time.monotonic()
    while True:
        try:
            future.get(timeout=ACKNOWLEDGEMENT_SECONDS)
            return
        except kafka_errors.KafkaTimeoutError:
            if future.is_done:
                raise
            if patience is not None and time.monotonic() - started > patience:
                raise
            health.failing("a message is not acknowledged")
