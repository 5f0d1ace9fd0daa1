"""The metrics of one target."""

import logging
import time

from andon_monitor.telemetry.catalogue import ACTION_RESULTS
from andon_monitor.telemetry.metrics import Metrics

REPEAT_LOG_SECONDS = 30.0  # between two lines about the same trouble

log = logging.getLogger("andon")


class TargetMeasures:
    """Counts and times the actions of a target, shows whether it answers, and logs when that changes."""

    def __init__(self, name: str, metrics: Metrics) -> None:
        self._name = name
        self._results = {result: metrics.actions.labels(name, result) for result in ACTION_RESULTS}
        self._seconds = metrics.action_seconds.labels(name)
        self._from_capture = metrics.capture_to_action_seconds.labels(name)
        self._up = metrics.action_target_up.labels(name)
        self._waiting = metrics.action_waiting.labels(name)
        self._failing_since: float | None = None
        self._logged_at = -REPEAT_LOG_SECONDS

    def count(self, result: str, number: int = 1) -> None:
        """Count actions by what became of them: `telemetry.catalogue.ACTION_RESULTS`."""
        if number:
            self._results[result].inc(number)

    def done(self, seconds: float, from_capture: float | None) -> None:
        """Count an action that is done, with the time it took, and since capture without what was waited on purpose."""
        self._results["done"].inc()
        self._seconds.observe(max(0.0, seconds))
        if from_capture is not None:
            self._from_capture.observe(max(0.0, from_capture))

    def waiting(self, number: int) -> None:
        """Show how many actions wait."""
        self._waiting.set(number)

    def working(self) -> None:
        """The target answers."""
        self._up.set(1)
        if self._failing_since is not None:
            log.info("actions: %s answers again, after %.1f s", self._name, time.monotonic() - self._failing_since)
            self._failing_since = None
            self._logged_at = -REPEAT_LOG_SECONDS

    def failing(self, why: str) -> None:
        """The target does not answer, or refuses."""
        now = time.monotonic()
        self._up.set(0)
        self._failing_since = self._failing_since or now
        if now - self._logged_at >= REPEAT_LOG_SECONDS:
            self._logged_at = now
            log.error("actions: %s: %s; verdicts go on without it", self._name, why)
