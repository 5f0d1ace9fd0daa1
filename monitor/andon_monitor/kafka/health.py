"""Whether the brokers answer, said once when that changes and now and then while it lasts."""

import logging
import threading
import time

from andon_monitor.telemetry.metrics import Metrics

REPEAT_SECONDS = 30.0

log = logging.getLogger("andon")


class Health:
    """What source and sinks have learned about the brokers, kept together. Safe to use from several threads."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._since: float | None = None
        self._said = 0.0
        metrics.kafka_up.set(1)

    def failing(self, what: str) -> None:
        """Something did not work and is being waited out."""
        now = time.monotonic()
        with self._lock:
            if self._since is None:
                self._since = now
                self._metrics.kafka_up.set(0)
                self._metrics.kafka_outages.inc()
            elif now - self._said < REPEAT_SECONDS:
                return
            self._said = now
            waited = now - self._since
        log.warning("kafka: %s; waiting%s", what, f" for {waited:.0f} s now" if waited >= 1 else "")

    def working(self) -> None:
        """The brokers answered."""
        with self._lock:
            if self._since is None:
                return
            waited, self._since = time.monotonic() - self._since, None
            self._metrics.kafka_up.set(1)
        log.info("kafka: works again after %.1f s", waited)
