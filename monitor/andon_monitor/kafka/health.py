"""Whether the brokers answer, logged when that changes and every 30 s of an outage; and waiting until they do."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from kafka import errors as kafka_errors

from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics

REPEAT_LOG_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 10.0

log = logging.getLogger("andon")

T = TypeVar("T")


class Health:
    """What source and sinks know about the brokers, in one place. Safe to use from several threads.

    `metrics`: where outages are shown; None for commands that serve no metrics.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._since: float | None = None
        self._logged = 0.0
        if metrics is not None:
            metrics.kafka_up.set(1)

    @property
    def answers(self) -> bool:
        """Whether the brokers answered the last time."""
        return self._since is None

    def failing(self, what: str) -> None:
        """Report that something did not work and that we wait for it to work again."""
        now = time.monotonic()
        with self._lock:
            if self._since is None:
                self._since = now
                if self._metrics is not None:
                    self._metrics.kafka_up.set(0)
                    self._metrics.kafka_outages.inc()
            elif now - self._logged < REPEAT_LOG_SECONDS:
                return
            self._logged = now
            waited = now - self._since
        log.warning("kafka: %s; waiting%s", what, f" for {waited:.0f} s now" if waited >= 1 else "")

    def working(self) -> None:
        """Report that the brokers answered."""
        with self._lock:
            if self._since is None:
                return
            waited, self._since = time.monotonic() - self._since, None
            if self._metrics is not None:
                self._metrics.kafka_up.set(1)
        log.info("kafka: works again after %.1f s", waited)


class Backoff:
    """Pauses that double, from half a second up to ten seconds."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE_SECONDS

    def wait(self) -> None:
        """Sleep for the next pause."""
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)


def until_answered(address: Address, settings: KafkaSettings, health: Health, seconds: float) -> None:
    """Wait until a broker answers, for at most so many seconds. Raises UsageError."""
    backoff = Backoff()
    began = time.monotonic()
    while (fault := diagnose(address, settings)) is not None:
        if not fault.may_pass or time.monotonic() - began >= seconds:
            raise UsageError(fault.message)
        health.failing(fault.message)
        backoff.wait()


def until_connected(connect: Callable[[], T], address: Address, settings: KafkaSettings, health: Health) -> T:
    """Call `connect` until it gives a client; while no broker answers, try again without end.

    Raises UsageError where waiting does not help, such as a wrong password.
    """
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
