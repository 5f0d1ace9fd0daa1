"""Outputs other than the verdicts: what happens to one of them is counted and reported, and the verdicts go on."""

import logging
import queue
import threading
import time
from collections.abc import Sequence

from andon_monitor.common.process import Ending
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.sinks.base import Sink
from andon_monitor.telemetry.metrics import Metrics

MAX_WAITING_FRAMES = 64  # in one output, in memory
CLOSE_SECONDS = 10.0
REPEAT_SECONDS = 30.0  # between two log lines about the same trouble

log = logging.getLogger("andon")


class SideOutput:
    """Runs a sink on a thread of its own. A write waits for it, so that a crash loses nothing of it.

    If it takes longer than `patience` seconds, or fails, later writes go on without it.

    Frames that the output does not keep are counted in `andon_output_lost_frames_total`; `andon_output_up` is 0 from
    the first of them until the output has kept a frame again.
    """

    def __init__(self, name: str, sink: Sink, metrics: Metrics, patience: float) -> None:
        self.name = name
        self._sink = sink
        self._patience = patience
        self._lost_frames = metrics.output_lost_frames.labels(name)
        self._up = metrics.output_up.labels(name)
        self._up.set(1)
        self._groups: queue.SimpleQueue[tuple[Sequence[Inspection], threading.Event] | Ending] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._behind = False
        self._said = -REPEAT_SECONDS
        self.lost = 0
        self._thread = threading.Thread(target=self._work, name=f"output {name}", daemon=True)
        self._thread.start()

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Hand the frames to the output, and wait for it as long as it keeps up. Never raises."""
        with self._lock:
            if self._waiting + len(inspections) > MAX_WAITING_FRAMES and self._waiting:
                self._lose(len(inspections), "too slow")
                return
            self._waiting += len(inspections)
            behind = self._behind
        done = threading.Event()
        self._groups.put((inspections, done))
        if not behind and not done.wait(self._patience):
            with self._lock:
                self._behind = self._waiting > 0

    def close(self, ending: Ending) -> None:
        """Finish the output, waiting no longer than `CLOSE_SECONDS`. Never raises."""
        self._groups.put(ending)
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            with self._lock:
                self._lose(self._waiting, f"not finished after {CLOSE_SECONDS:.0f} s")
        if self.lost:
            log.warning("%s: %d frames were not kept in this run", self.name, self.lost)

    def _work(self) -> None:
        while True:
            item = self._groups.get()
            if isinstance(item, str):
                self._close(item)
                return
            inspections, done = item
            failure: Exception | None = None
            try:
                self._sink.write(inspections)
            except Exception as error:  # whatever it is, the verdicts go on
                failure = error
            with self._lock:
                self._waiting -= len(inspections)
                self._behind = self._behind and self._waiting > 0
                if failure is not None:
                    self._lose(len(inspections), str(failure) or type(failure).__name__)
                else:
                    self._up.set(1)
            done.set()

    def _close(self, ending: Ending) -> None:
        try:
            self._sink.close(ending)
        except Exception as error:
            with self._lock:
                self._lose(0, str(error) or type(error).__name__)

    def _lose(self, frames: int, why: str) -> None:
        """Count frames that were not kept. The lock is held."""
        self.lost += frames
        self._lost_frames.inc(frames)
        self._up.set(0)
        now = time.monotonic()
        if now - self._said >= REPEAT_SECONDS:
            self._said = now
            log.error("%s: %s; verdicts go on without it", self.name, why)


class Guarded:
    """A sink in memory, such as a counter: what it raises is logged and counted, and the verdicts go on."""

    def __init__(self, name: str, sink: Sink, metrics: Metrics) -> None:
        self._name = name
        self._sink = sink
        self._lost_frames = metrics.output_lost_frames.labels(name)
        self._failed = False

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Give the frames to the sink. Never raises."""
        try:
            self._sink.write(inspections)
        except Exception:
            self._lost_frames.inc(len(inspections))
            if not self._failed:
                log.exception("%s: failed; verdicts go on without it", self._name)
            self._failed = True

    def close(self, ending: Ending) -> None:
        """Close the sink. Never raises."""
        try:
            self._sink.close(ending)
        except Exception as error:
            log.error("%s: cannot be finished (%s)", self._name, error)
