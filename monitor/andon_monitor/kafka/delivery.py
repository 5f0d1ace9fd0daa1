"""Messages sent and waited for, through whatever outage."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from andon_monitor.kafka.address import Address
from andon_monitor.kafka.connection import client_options, describe, milliseconds
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.messages import Message
from andon_monitor.kafka.waiting import Backoff, until_connected
from andon_monitor.settings.groups import KafkaSettings

# The idempotent producer retries in order, without duplicates, until this is over: so it never is (24 days).
FOREVER_MS = 2**31 - 1
ACKNOWLEDGEMENT_SECONDS = 2.0  # without one for this long we speak of an outage
METADATA_SECONDS = 3.0
# Size is the topic's to judge: the producer's own limit would refuse what `max_message_bytes` allows plus its headers.
ANY_SIZE = 2**30
CLOSE_SECONDS = 5.0


class Delivery:
    """Sends messages in their order and returns once every one is acknowledged by all in-sync replicas.

    Whatever fails is tried again until it works: nothing is given up, and the caller, held back, takes no more frames.
    """

    def __init__(self, address: Address, settings: KafkaSettings, health: Health) -> None:
        self._address = address
        self._settings = settings
        self._health = health
        self._producer: KafkaProducer = until_connected(self._connect, address, settings, health)

    def _connect(self) -> KafkaProducer:
        return KafkaProducer(**producer_options(self._settings, self._address), delivery_timeout_ms=FOREVER_MS)

    def send(self, messages: Sequence[Message]) -> None:
        """Deliver all of them."""
        backoff = Backoff()
        remaining = list(messages)
        while remaining:
            try:
                futures = [submit(self._producer, message) for message in remaining]
                for future in futures:
                    wait_for(future, self._health)
                    remaining.pop(0)
            except kafka_errors.KafkaError as error:
                topic = remaining[0].topic
                self._health.failing(f"{topic} takes no messages ({describe(error)})")
                # What follows a message that failed must not overtake it: a new producer starts with a clean slate.
                discard(self._producer)
                backoff.wait()
                self._producer = until_connected(self._connect, self._address, self._settings, self._health)
        if messages:
            self._health.working()

    def close(self) -> None:
        """Let go of the connections; everything has been acknowledged."""
        discard(self._producer, CLOSE_SECONDS)


def producer_options(settings: KafkaSettings, address: Address) -> dict[str, Any]:
    """What all producers have in common."""
    return {
        **client_options(settings, address),
        "max_request_size": ANY_SIZE,
        "max_block_ms": milliseconds(METADATA_SECONDS),
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }


def discard(producer: KafkaProducer, seconds: float = 0) -> None:
    """Let go of a producer, whatever it has not got rid of by then."""
    with suppress(kafka_errors.KafkaError):
        producer.close(timeout=seconds)


def submit(producer: KafkaProducer, message: Message) -> Any:
    """Hand a message to the producer; a future."""
    return producer.send(
        message.topic,
        value=message.value,
        key=message.key,
        headers=list(message.headers),
        timestamp_ms=message.timestamp_ms,
    )


def wait_for(future: Any, health: Health, patience: float | None = None) -> None:
    """Wait until a message is acknowledged. Raises KafkaError, KafkaTimeoutError after `patience` seconds."""
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
