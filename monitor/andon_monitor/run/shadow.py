"""Shadows: second models that score the same live frames, only for metrics and within a time budget."""

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence

from andon_monitor.common.process import Ending, lower_priority
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.telemetry.metrics import Metrics, ShadowMetrics

log = logging.getLogger("andon")


class Shadow:
    """A sink after those of the verdicts, which it never delays. `inspectors` are by the recipe that they go with.

    One thread scores frame by frame and pauses in between, so that it is busy for at most the share `budget` of the
    time: it takes no more than that share of one core from the first model. While `pending` frames wait, further ones
    are skipped and counted.
    """

    def __init__(
        self, inspectors: Mapping[str | None, Inspector], metrics: Metrics, budget: float, pending: int
    ) -> None:
        self.metrics = ShadowMetrics(metrics.registry)
        self.scored = self.skipped = self.differing = 0
        self._inspectors = inspectors
        self._label = metrics.label
        self._budget = budget
        self._waiting: queue.Queue[Inspection] = queue.Queue(pending)
        self._closed = threading.Event()
        for recipe, inspector in inspectors.items():
            self.metrics.model.labels(inspector.alias).info({"recipe": recipe or "", "sha256": inspector.model.sha256})
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Queue frames whose recipe has a shadow, as long as there is room."""
        for inspection in inspections:
            if inspection.verdict.recipe not in self._inspectors:
                continue
            try:
                self._waiting.put_nowait(inspection)
            except queue.Full:
                self._skip()

    def close(self, ending: Ending) -> None:
        """Stop at once; waiting frames are skipped."""
        self._closed.set()
        self._thread.join()
        while not self._waiting.empty():
            self._waiting.get_nowait()
            self._skip()
        log.info(
            "shadow %s: %d frames scored, %d skipped, %d verdicts differ",
            ", ".join(inspector.alias for inspector in self._inspectors.values()),
            self.scored,
            self.skipped,
            self.differing,
        )

    def _skip(self) -> None:
        self.skipped += 1
        self.metrics.frames.labels("skipped").inc()

    def _work(self) -> None:
        lower_priority()
        while not self._closed.is_set():
            try:
                inspection = self._waiting.get(timeout=0.1)
            except queue.Empty:
                continue
            started = time.monotonic()
            first = inspection.verdict
            inspector = self._inspectors[first.recipe]
            second = inspector.inspect([inspector.prepare(inspection.frame)])[0]
            self.scored += 1
            self.differing += first.outcome != second.outcome
            self.metrics.judged(self._label(first.camera), first, second)
            busy = time.monotonic() - started
            self.metrics.seconds.observe(busy)
            self._closed.wait(busy / self._budget - busy)
