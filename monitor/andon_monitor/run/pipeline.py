"""The stages of a run (source, workers, sinks) and the threads that they run on.

    this thread          workers                    delivery thread
    source.poll ------>  decode, model.score -----> sinks write ---+
    source.acknowledge <-------------------------------------------+

Frames keep their order from end to end; those behind a frame whose model is being opened wait for it. One number
bounds memory: frames polled but not yet acknowledged never exceed
`PipelineLimits.in_flight` by more than the rest of one record. So the queues between the stages need no bounds.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from andon_monitor.inspection.frames import Frame, Verdict
from andon_monitor.inspection.inspector import Inspection, Inspector, Prepared
from andon_monitor.run.workers import Batching, Workers
from andon_monitor.settings.groups import Settings
from andon_monitor.sinks.base import Sink
from andon_monitor.sources.base import Source
from andon_monitor.telemetry.metrics import Metrics

POLL_SECONDS = 0.1  # how long a poll waits for frames; a stop or a failure is noticed after at most as long
DELIVERY_GROUP = 64  # most verdicts that one fsync, or one round trip to a broker, makes durable
DELIVERY_SHARE = 4  # a delivery waits for one in so many of the frames that queue


class Finder(Protocol):
    """Finds the inspector of a frame: one inspector for all, or the library of all recipes."""

    def find(self, frame: Frame) -> Inspector | Verdict | None:
        """The inspector, the verdict on a frame that has none, or None: ask again."""


class Watcher(Protocol):
    """Told of each frame that is taken, and of the future of its inspection; neither call may raise or wait."""

    def expect(self, frame: Frame) -> None:
        """A frame was taken."""

    def decided(self, future: "Future[Inspection]") -> None:
        """A frame was inspected, or given up. On any thread."""


@dataclass(frozen=True)
class PipelineLimits:
    """How much at a time. `threads`: frames inspected in parallel, 0: one per core; `batching` is for a GPU.

    `in_flight` frames are polled but not acknowledged at most; `in_flight_bytes` limits their encoded size, which one
    poll may exceed.
    """

    threads: int = 0
    batching: Batching = field(default_factory=Batching)
    in_flight: int = 32
    in_flight_bytes: int = 256 * 2**20

    @classmethod
    def from_settings(cls, settings: Settings) -> "PipelineLimits":
        """The limits among the settings."""
        inspection = settings.inspection
        return cls(
            threads=settings.model.threads,
            batching=Batching(inspection.batch_size, inspection.batch_wait),
            in_flight=inspection.in_flight,
            in_flight_bytes=inspection.in_flight_bytes,
        )


class Pipeline:
    """Passes frames from a source through their inspectors to sinks. `inspectors` may be replaced while it runs."""

    def __init__(
        self,
        source: Source,
        inspectors: Finder,
        sinks: Sequence[Sink],
        metrics: Metrics | None = None,
        limits: PipelineLimits | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.inspectors = inspectors
        self._source = source
        self._sinks = sinks
        self._metrics = metrics or Metrics()
        self._limits = limits or PipelineLimits()
        self._watcher = watcher
        self._submitted: queue.SimpleQueue[Future[Inspection] | None] = queue.SimpleQueue()
        self._waiting: list[tuple[Frame, Future[Inspection]]] = []  # for their model
        self._delivered: queue.SimpleQueue[list[Inspection]] = queue.SimpleQueue()
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._reading = False
        self._blocked_since: float | None = None
        self.stopped = False
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Run until the source ends or `stop` is called, then finish the frames in flight.

        Raises what a source or a sink raised; the frames in flight are then not acknowledged.
        """
        workers = Workers(self._limits.threads, self._limits.batching, self._metrics, self._source.live)
        delivery = threading.Thread(target=self._deliver, name="delivery", daemon=True)
        delivery.start()
        self._reading = True
        try:
            self._read(workers)
        except BaseException as error:
            self._failure = self._failure or error
            raise
        finally:
            self._reading = False
            self._metrics.ready.set(False)
            workers.close()
            for _, future in self._waiting:  # none where the run did not fail
                future.cancel()
            self._submitted.put(None)
            delivery.join()

    def stop(self) -> None:
        """Take no more frames and finish those in flight. Another thread may call this."""
        self.stopped = True

    @property
    def running(self) -> bool:
        """Whether the pipeline takes frames from a source that is ready."""
        return self._reading and not self.stopped and self._source.ready

    @property
    def blocked_seconds(self) -> float:
        """For how long no frame could be taken because verdicts on those in flight are not written; 0: they are."""
        since = self._blocked_since
        return 0.0 if since is None else time.monotonic() - since

    def _read(self, workers: Workers) -> None:
        exhausted = False
        while True:
            self._acknowledge()
            if self._waiting:
                self._submit_waiting(workers)
            self._metrics.ready.set(self.running)
            if self._failure is not None:
                raise self._failure
            draining = exhausted or self.stopped
            if draining and self._in_flight == 0:
                return
            capacity = 0 if draining else self._capacity()
            if capacity == 0:
                self._acknowledge(POLL_SECONDS)
                capacity = 0 if draining else self._capacity()
            self._blocked_since = None if capacity else self._blocked_since or time.monotonic()
            frames = [] if exhausted else self._source.poll(capacity, POLL_SECONDS if capacity else 0)
            if frames is None:
                exhausted = True
                continue
            for frame in frames:
                self._count(1, len(frame.data))
                if self._watcher is not None:
                    self._watcher.expect(frame)
                found = self.inspectors.find(frame)
                if isinstance(found, Inspector):
                    self._metrics.received(frame, found)
                    inspection = workers.submit(found, frame)
                else:
                    inspection = self._without_inspector(frame, found)
                if self._watcher is not None:
                    inspection.add_done_callback(self._watcher.decided)
                self._submitted.put(inspection)

    def _without_inspector(self, frame: Frame, verdict: Verdict | None) -> Future[Inspection]:
        """The inspection of a frame that met no model, or of one that waits for its model."""
        self._metrics.received(frame)
        inspection: Future[Inspection] = Future()
        if verdict is None:
            self._waiting.append((frame, inspection))
        else:
            inspection.set_result(_inspection_without_model(frame, verdict))
        return inspection

    def _submit_waiting(self, workers: Workers) -> None:
        """Start with the frames whose model has been opened; those that have waited long enough get their verdict."""
        waiting, self._waiting = self._waiting, []
        for frame, inspection in waiting:
            found = self.inspectors.find(frame)
            if isinstance(found, Inspector):
                self._metrics.used(frame, found)
                workers.submit(found, frame).add_done_callback(partial(_hand_over, inspection))
            elif found is None:
                self._waiting.append((frame, inspection))
            else:
                inspection.set_result(_inspection_without_model(frame, found))

    def _capacity(self) -> int:
        if self._in_flight_bytes >= self._limits.in_flight_bytes:
            return 0
        return max(0, self._limits.in_flight - self._in_flight)

    def _acknowledge(self, patience: float = 0) -> None:
        """Acknowledge delivered frames, after waiting at most `patience` seconds for the first."""
        try:
            while True:
                group = self._delivered.get(block=patience > 0, timeout=patience or None)
                frames = [inspection.frame for inspection in group]
                bad = [one.frame for one in group if one.verdict.outcome == "uninspectable"]
                self._source.acknowledge(frames, bad)
                self._count(-len(frames), -sum(len(frame.data) for frame in frames))
                patience = 0
        except queue.Empty:
            return

    def _count(self, frames: int, size: int) -> None:
        self._in_flight += frames
        self._in_flight_bytes += size
        self._metrics.in_flight_frames.set(self._in_flight)
        self._metrics.in_flight_bytes.set(self._in_flight_bytes)

    def _deliver(self) -> None:
        """The delivery thread. `run` raises errors from here and from the workers."""
        try:
            for group in self._groups():
                started = time.monotonic()
                for sink in self._sinks:
                    sink.write(group)
                clock = time.monotonic()
                self._metrics.publish_seconds.observe(clock - started)
                self._metrics.delivered(group, self._source.live, clock, time.time())
                self._delivered.put(group)
        except BaseException as error:
            self._failure = self._failure or error

    def _groups(self) -> Iterator[list[Inspection]]:
        """Inspections finished while the sinks were busy, in the order of their frames.

        If frames queue, a group waits for a share of them: waking two threads for each frame would take time from the
        workers. A verdict is delayed by no more than that share of the time for which its frame waited anyway.
        """
        pending: deque[Future[Inspection]] = deque()
        ended = False
        while self._failure is None:
            while not ended and (not pending or not self._submitted.empty()):
                future = self._submitted.get()
                if future is None:
                    ended = True
                else:
                    pending.append(future)
            if not pending:
                return
            wanted = min(max(1, len(pending) // DELIVERY_SHARE), DELIVERY_GROUP)
            pending[wanted - 1].result()  # nearly always the only wait
            group = [pending.popleft().result() for _ in range(wanted)]
            while pending and pending[0].done() and len(group) < DELIVERY_GROUP:
                group.append(pending.popleft().result())
            # A record is delivered whole: what commits its offset must not come before all of its frames.
            while group[-1].frame.more:
                following = pending.popleft() if pending else self._submitted.get()
                if following is None:  # the run has failed; nothing more is acknowledged
                    return
                group.append(following.result())
            yield group


def _inspection_without_model(frame: Frame, verdict: Verdict) -> Inspection:
    return Inspection(Prepared(frame, rejection=frame.rejection), verdict, arrived=time.monotonic())


def _hand_over(to: Future[Inspection], done: Future[Inspection]) -> None:
    """Give the outcome of one future to another."""
    if done.cancelled():
        to.cancel()
    elif (error := done.exception()) is not None:
        to.set_exception(error)
    else:
        to.set_result(done.result())
