"""Source, decoding, batches, inference, sinks: the stages of the monitor and the threads they run on.

    this thread          decode threads     inspection thread        delivery thread
    source.poll ------>  prepare ---------> batch, model.score ----> sinks write ---+
    source.acknowledge <------------------------------------------------------------+

Frames keep the order they came in from end to end. What bounds memory is one number: frames polled and not yet
acknowledged, which never exceed `Limits.in_flight`; queues between the stages need no bounds of their own.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from monitor.frames import Frame, Latency
from monitor.inspection import Inspection, Inspector, Prepared
from monitor.metrics import Metrics
from monitor.sinks import Sink
from monitor.sources import Source

POLL_SECONDS = 0.1  # how long a poll waits for frames; a stop, a failure or an acknowledgement waits as long
DELIVERY_GROUP = 64  # about how many verdicts one fsync, or one round trip to a broker, makes durable at most


@dataclass(frozen=True)
class Limits:
    """How much at once. `batch_wait` in seconds; `in_flight` in frames, `in_flight_bytes` as they came, encoded.

    Bytes may be exceeded by what one poll brings.
    """

    batch_size: int = 8
    batch_wait: float = 0.005
    decode_threads: int = 2
    in_flight: int = 32
    in_flight_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class _Decoded:
    prepared: Prepared
    started: float
    finished: float


@dataclass(frozen=True, slots=True)
class _Job:
    inspector: Inspector  # the one that prepares a frame also inspects it, whichever is current by then
    arrived: float
    decoded: Future[_Decoded]


class Pipeline:
    """Runs frames from a source past an inspector into sinks. `inspector` may be replaced while it runs."""

    def __init__(
        self,
        source: Source,
        inspector: Inspector,
        sinks: Sequence[Sink],
        metrics: Metrics | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.inspector = inspector
        self._source = source
        self._sinks = sinks
        self._metrics = metrics or Metrics()
        self._limits = limits or Limits()
        self._incoming: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._inspected: queue.SimpleQueue[list[Inspection] | None] = queue.SimpleQueue()
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
        threads = [
            threading.Thread(target=self._guard, args=(stage,), name=name, daemon=True)
            for name, stage in (("inspection", self._inspect_batches), ("delivery", self._deliver))
        ]
        for thread in threads:
            thread.start()
        self._reading = True
        try:
            with ThreadPoolExecutor(self._limits.decode_threads, "decode") as decoders:
                self._read(decoders)
        except BaseException as error:
            self._failure = self._failure or error
            raise
        finally:
            self._reading = False
            self._metrics.ready.set(False)
            self._incoming.put(None)
            for thread in threads:
                thread.join()

    def stop(self) -> None:
        """Take no more frames, finish those in flight. May be called from a signal handler or another thread."""
        self.stopped = True

    @property
    def running(self) -> bool:
        """Whether frames are being taken, where there are any."""
        return self._reading and not self.stopped and self._source.ready

    def _read(self, decoders: ThreadPoolExecutor) -> None:
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
            arrived, inspector = time.monotonic(), self.inspector  # read once: it may be replaced at any moment
            for frame in frames:
                self._metrics.received(frame, inspector.threshold(frame.camera))
                self._count(1, len(frame.data))
                decoded = decoders.submit(_decode, inspector, frame)
                self._incoming.put(_Job(inspector, arrived, decoded))

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
        self._metrics.in_flight.set(self._in_flight)
        self._metrics.in_flight_bytes.set(self._in_flight_bytes)

    def _inspect_batches(self) -> None:
        for batch in self._batches():
            if self._failure is None:
                self._inspected.put(self._inspect(batch))
        self._inspected.put(None)

    def _batches(self) -> Iterator[list[_Job]]:
        """Jobs in their order, at most `batch_size`, waiting at most `batch_wait` after the first is decoded.

        Where frames share no call, as on a CPU, there is nothing to wait for: those that are decoded go on together.
        """
        job = self._incoming.get()
        while job is not None:
            batch, following = [job], None
            wait([job.decoded])
            patience = self._limits.batch_wait if job.inspector.model.batched else 0.0
            deadline = time.monotonic() + patience
            while len(batch) < self._limits.batch_size:
                try:
                    following = self._incoming.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                if following is None:
                    yield batch
                    return
                ready = wait([following.decoded], timeout=max(0.0, deadline - time.monotonic())).done
                if not ready or following.inspector is not job.inspector:
                    break
                batch.append(following)
                following = None
            yield batch
            job = following or self._incoming.get()

    def _inspect(self, batch: list[_Job]) -> list[Inspection]:
        metrics, live = self._metrics, self._source.live
        decoded = [job.decoded.result() for job in batch]
        started = time.monotonic()
        verdicts = batch[0].inspector.inspect([item.prepared for item in decoded], time.time() if live else None)
        inference = time.monotonic() - started
        metrics.inference.observe(inference)
        metrics.batch_size.observe(len(batch))
        inspections = []
        for job, item, verdict in zip(batch, decoded, verdicts, strict=True):
            decode = item.finished - item.started
            latency = Latency(queue=started - job.arrived - decode, decode=decode, inference=inference)
            metrics.decode.observe(latency.decode)
            metrics.queue_wait.observe(latency.queue)
            verdict = replace(verdict, latency=latency) if live else verdict
            inspections.append(Inspection(item.prepared, verdict, latency, job.arrived, job.inspector.model))
        return inspections

    def _deliver(self) -> None:
        for group in self._groups():
            if self._failure is None:
                started = time.monotonic()
                for sink in self._sinks:
                    sink.write(group)
                clock = time.monotonic()
                self._metrics.publish.observe(clock - started)
                self._metrics.delivered(group, self._source.live, clock, time.time())
                self._delivered.put([inspection.frame for inspection in group])

    def _groups(self) -> Iterator[list[Inspection]]:
        """Whatever has been inspected while the sinks were busy, in its order."""
        group: list[Inspection] = []
        while True:
            try:
                batch = self._inspected.get(block=not group)
            except queue.Empty:
                batch = []
            if batch:
                group = group + batch
            if group and (not batch or len(group) >= DELIVERY_GROUP):
                yield group
                group = []
            if batch is None:
                return

    def _guard(self, stage: Callable[[], None]) -> None:
        """Run a stage; what it raises is raised by `run`."""
        try:
            stage()
        except BaseException as error:
            self._failure = self._failure or error
            self._inspected.put(None)  # where inspection failed, delivery would wait for ever


def _decode(inspector: Inspector, frame: Frame) -> _Decoded:
    started = time.monotonic()
    prepared = inspector.prepare(frame)
    return _Decoded(prepared, started, time.monotonic())
