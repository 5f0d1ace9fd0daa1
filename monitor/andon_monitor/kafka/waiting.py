"""Waiting for a cluster that is not there yet, and knowing when waiting is no use."""

import time
from collections.abc import Callable
from typing import TypeVar

from kafka import errors as kafka_errors

from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.kafka.health import Health
from andon_monitor.settings.groups import KafkaSettings

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0

T = TypeVar("T")


class Backoff:
    """Pauses that double, from half a second to ten."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE

    def wait(self) -> None:
        """Sleep for the next pause."""
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def until_connected(connect: Callable[[], T], address: Address, settings: KafkaSettings, health: Health) -> T:
    """Make a client; while no broker answers try again for ever. Raises UsageError where the settings are to blame."""
    backoff = Backoff()
    while True:
        try:
            client = connect()
        except kafka_errors.KafkaError as error:
            fault = diagnose(address, settings)
            if fault is not None and not fault.may_pass:
                raise UsageError(fault.message) from None
            health.failing(fault.message if fault else f"{address}: {error}")
            backoff.wait()
        else:
            return client
