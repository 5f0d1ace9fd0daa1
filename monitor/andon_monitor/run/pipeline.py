"""Source, workers, sinks: the stages of the monitor and the threads they run on.

    this thread          workers                    delivery thread
    source.poll ------>  decode, model.score -----> sinks write ---+
    source.acknowledge <-------------------------------------------+

Frames keep the order they came in from end to end. What bounds memory is one number: frames polled and not yet
acknowledged, which never exceed `PipelineLimits.in_flight`; queues between the stages need no bounds of their own.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.run.workers import Batching, Workers
from andon_monitor.settings.groups import Settings
from andon_monitor.sinks.base import Sink
from andon_monitor.sources.base import Source
from andon_monitor.telemetry.metrics import Metrics

POLL_SECONDS = 0.1  # how long a poll waits for frames; a stop, a failure or an acknowledgement waits as long
DELIVERY_GROUP = 64  # how many verdicts one fsync, or one round trip to a broker, makes durable at most
DELIVERY_SHARE = 4  # one in so many of the frames that queue


@dataclass(frozen=True)
class PipelineLimits:
    """How much at once. `threads`: frames that are worked on, 0 for one per core; `batching` is for a GPU.

    `in_flight` in frames, `in_flight_bytes` as they came, encoded. Bytes may be exceeded by what one poll brings.
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
    """Runs frames from a source past an inspector into sinks. `inspector` may be replaced while it runs."""

    def __init__(
        self,
        source: Source,
        inspector: Inspector,
        sinks: Sequence[Sink],
        metrics: Metrics | None = None,
        limits: PipelineLimits | None = None,
    ) -> None:
        self.inspector = inspector
        self._source = source
        self._sinks = sinks
        self._metrics = metrics or Metrics()
        self._limits = limits or PipelineLimits()
        self._submitted: queue.SimpleQueue[Future[Inspection] | None] = queue.SimpleQueue()
        self._delivered: queue.SimpleQueue[list[Frame]] = queue.SimpleQueue()
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._reading = False
        self.stopped = False
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Run until the source ends or `stop` is called, then finish what is in flight.

        Raises what a source or a sink raised; frames then in flight are not acknowledged.
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
            self._submitted.put(None)
            delivery.join()

    def stop(self) -> None:
        """Take no more frames, finish those in flight. May be called from a signal handler or another thread."""
        self.stopped = True

    @property
    def running(self) -> bool:
        """Whether frames are being taken, where there are any."""
        return self._reading and not self.stopped and self._source.ready

    def _read(self, workers: Workers) -> None:
        exhausted = False
        while True:
            self._acknowledge()
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
            frames = [] if exhausted else self._source.poll(capacity, POLL_SECONDS if capacity else 0)
            if frames is None:
                exhausted = True
                continue
            inspector = self.inspector  # read once: it may be replaced at any moment
            for frame in frames:
                self._metrics.received(frame, inspector.threshold(frame.camera))
                self._count(1, len(frame.data))
                self._submitted.put(workers.submit(inspector, frame))

    def _capacity(self) -> int:
        if self._in_flight_bytes >= self._limits.in_flight_bytes:
            return 0
        return self._limits.in_flight - self._in_flight

    def _acknowledge(self, patience: float = 0) -> None:
        """Acknowledge what has been delivered, after waiting at most `patience` seconds for something."""
        try:
            while True:
                frames = self._delivered.get(block=patience > 0, timeout=patience or None)
                self._source.acknowledge(frames)
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
        """What fails here, or in the workers, is raised by `run`."""
        try:
            for group in self._groups():
                started = time.monotonic()
                for sink in self._sinks:
                    sink.write(group)
                clock = time.monotonic()
                self._metrics.publish_seconds.observe(clock - started)
                self._metrics.delivered(group, self._source.live, clock, time.time())
                self._delivered.put([inspection.frame for inspection in group])
        except BaseException as error:
            self._failure = self._failure or error

    def _groups(self) -> Iterator[list[Inspection]]:
        """Whatever has been inspected while the sinks were busy, in its order.

        Where frames queue, a share of them is waited for: to wake two threads for each frame takes time from the
        workers, and a verdict comes later by no more than that share of the time its frame waited anyway.
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
            pending[wanted - 1].result()  # one wait for all of them, nearly always
            group = [pending.popleft().result() for _ in range(wanted)]
            while pending and pending[0].done() and len(group) < DELIVERY_GROUP:
                group.append(pending.popleft().result())
            yield group
