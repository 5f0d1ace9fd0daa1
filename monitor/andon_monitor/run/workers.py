"""Worker threads that turn frames into verdicts: one frame per thread on a CPU, batches on a GPU."""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace

from andon_monitor.common.cores import available_cores
from andon_monitor.inspection.frames import Frame, Latency
from andon_monitor.inspection.inspector import Inspection, Inspector, Prepared
from andon_monitor.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Batching:
    """Largest number of frames in a batch, and seconds to wait for them after the first."""

    size: int = 8
    wait: float = 0.005


@dataclass(frozen=True, slots=True)
class _Decoded:
    """`arrived` is in seconds of the monotonic clock; decoding took `seconds`."""

    prepared: Prepared
    arrived: float
    seconds: float


@dataclass(frozen=True, slots=True)
class _Job:
    inspector: Inspector
    decoded: Future[_Decoded]
    inspection: Future[Inspection]


class Workers:
    """Inspects frames on `threads` threads, 0: one per core. If `live`, verdicts hold their latency.

    On a CPU one task takes a frame from its bytes to its verdict: nothing passes between threads, no frame waits for
    others, and pixels are scored while they are in the core's cache. On a GPU these threads only decode, and one more
    thread scores the decoded frames in batches.
    """

    def __init__(self, threads: int, batching: Batching, metrics: Metrics, live: bool) -> None:
        self._pool = ThreadPoolExecutor(threads or available_cores(), "worker")
        self._batching = batching
        self._metrics = metrics
        self._live = live
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._batcher: threading.Thread | None = None

    def submit(self, inspector: Inspector, frame: Frame) -> Future[Inspection]:
        """Start inspecting a frame. Only one thread may call this, and afterwards `close`."""
        arrived = time.monotonic()
        if not inspector.model.batched:
            return self._pool.submit(self._inspect_alone, inspector, frame, arrived)
        if self._batcher is None:
            self._batcher = threading.Thread(target=self._inspect_batches, name="batches", daemon=True)
            self._batcher.start()
        job = _Job(inspector, self._pool.submit(_decode, inspector, frame, arrived), Future())
        self._jobs.put(job)
        return job.inspection

    def close(self) -> None:
        """Stop the threads; frames not yet started are dropped."""
        self._pool.shutdown(cancel_futures=True)
        if self._batcher is not None:
            self._jobs.put(None)
            self._batcher.join()

    def _inspect_alone(self, inspector: Inspector, frame: Frame, arrived: float) -> Inspection:
        return self._inspect(inspector, [_decode(inspector, frame, arrived)])[0]

    def _inspect(self, inspector: Inspector, batch: list[_Decoded]) -> list[Inspection]:
        metrics = self._metrics
        started = time.monotonic()
        verdicts = inspector.inspect([item.prepared for item in batch], time.time() if self._live else None)
        inference = time.monotonic() - started
        metrics.inference_seconds.observe(inference)
        metrics.batch_size.observe(len(batch))
        inspections = []
        for item, verdict in zip(batch, verdicts, strict=True):
            latency = Latency(started - item.arrived - item.seconds, item.seconds, inference)
            verdict = replace(verdict, latency=latency) if self._live else verdict
            inspections.append(Inspection(item.prepared, verdict, latency, item.arrived, inspector.model))
        return inspections

    def _inspect_batches(self) -> None:
        for batch in self._batches():
            try:
                inspections = self._inspect(batch[0].inspector, [job.decoded.result() for job in batch])
            except BaseException as error:  # raised to whoever waits for these frames
                for job in batch:
                    job.inspection.set_exception(error)
                continue
            for job, inspection in zip(batch, inspections, strict=True):
                job.inspection.set_result(inspection)

    def _batches(self) -> Iterator[list[_Job]]:
        """Batches of jobs, each of one inspector; waits `Batching.wait` at most once the first is decoded.

        Jobs of other inspectors that come meanwhile are put aside for the next batches: where products alternate,
        batches are full all the same.
        """
        aside: deque[_Job] = deque()
        ended = False
        while True:
            job = aside.popleft() if aside or ended else self._jobs.get()
            if job is None:
                return
            batch = [job]
            for other in [other for other in aside if other.inspector is job.inspector][: self._batching.size - 1]:
                aside.remove(other)
                batch.append(other)
            with suppress(BaseException):  # `wait` would not notice that `close` cancelled it
                job.decoded.result()
            deadline = time.monotonic() + self._batching.wait
            while len(batch) < self._batching.size and not ended:
                try:
                    following = self._jobs.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                elif following.inspector is not job.inspector:
                    aside.append(following)
                elif not wait([following.decoded], timeout=max(0.0, deadline - time.monotonic())).done:
                    aside.append(following)
                    break
                else:
                    batch.append(following)
            yield batch
            if ended and not aside:
                return


def _decode(inspector: Inspector, frame: Frame, arrived: float) -> _Decoded:
    started = time.monotonic()
    prepared = inspector.prepare(frame)
    return _Decoded(prepared, arrived, time.monotonic() - started)
