"""What all cameras have in common: they go away and come back, and may deliver faster than frames are inspected."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from andon_monitor.common.cores import available_cores
from andon_monitor.errors import AndonError, InstallationError, UsageError
from andon_monitor.inspection.frames import Frame, Position, Rejection, TimeSource
from andon_monitor.sources.video import encode_frame
from andon_monitor.telemetry.metrics import Metrics

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 10.0  # between two attempts to open a camera
REPEAT_LOG_SECONDS = 30.0
# Frames that wait; beyond them the oldest is dropped. A camera that was held up sends several at once.
MAX_WAITING, MAX_WAITING_BYTES = 16, 128 * 2**20
BUSY_SECONDS = 0.005  # for frames to be acknowledged
# A driver that hangs is not waited for any longer. One that works is: a program that ends meanwhile may crash.
CLOSE_SECONDS = 5.0

log = logging.getLogger("andon")


class CameraLost(AndonError):
    """A camera that does not answer, or sends no more frames; one line says why, without its address."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a camera: the bytes of an image file, or pixels uint8 [H, W, 3] in BGR order; b"" for none.

    `damage` says why it cannot be inspected. `part` and `headers` are what the camera knows about it, see `Frame`.
    """

    image: Any
    captured_at: float
    time_source: TimeSource
    damage: str | None = None
    part: object = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Camera(Protocol):
    """A camera that is open. A single thread reads it."""

    @property
    def steps_back(self) -> int:
        """How many pictures had a time that went backwards."""

    def read(self) -> list[Shot]:
        """The next pictures, waited for; [] where what came is none yet. Raises CameraLost."""

    def close(self) -> None:
        """Close it."""


class LiveSource:
    """The frames of a camera, captured now. A thread reads it all the time, so that no picture grows old in a buffer.

    A camera that stops sending or does not answer is opened again, with pauses that double up to ten seconds; `metrics`
    shows it. With `wait` this also holds for the start; without it, a camera that does not answer raises UsageError.

    At most `in_hand` frames are polled and not acknowledged; None: two for each core. Where more come than that, the
    next frame is the newest, and those before it are dropped and counted. With `every_picture` none is dropped: so many
    wait at most, and until there is room the camera is not read.

    UsageError and InstallationError of `open_camera` are raised, also with `wait`, unless it was open before.
    """

    live = True
    length: int | None = None
    damage: str | None = None
    passed_over: str | None = None

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        name: str,
        camera: str,
        *,
        wait: bool = False,
        metrics: Metrics | None = None,
        in_hand: int | None = None,
        every_picture: int | None = None,
    ) -> None:
        self.name = name
        self.dropped = 0
        self._open_camera = open_camera
        self._camera = camera
        self._metrics = metrics
        self._limit = in_hand or max(2, 2 * available_cores())
        self._in_hand = 0
        # Offsets start at 0 with each run: the time of the start keeps the verdict ids of two runs apart.
        self._position = Position.of(f"{name}@{time.time_ns()}", camera, 0, 0)
        self._offset = 0
        self._every = every_picture
        self._waits = wait
        self._waiting: deque[Shot] = deque()
        self._busy = False  # whether as many frames as may be were in hand since the last poll
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._up = False
        self._pause = FIRST_PAUSE_SECONDS
        self._down_since: float | None = None
        self._lost_logged = self._dropped_logged = -math.inf
        self._steps_back_logged = -math.inf
        self._first: str | None = None  # how the first attempt to open it failed, "" for not
        self._refused: AndonError | None = None  # why it never will be opened
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        if not wait:
            with self._changed:
                self._changed.wait_for(lambda: self._first is not None)
            if self._first:
                self.close()
                raise self._refused or UsageError(f"{name}: {self._first}")

    @property
    def ready(self) -> bool:
        """Whether the camera is open."""
        return self._up

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next frames, [] while there are none or enough are in hand. Raises UsageError, InstallationError."""
        capacity = min(capacity, self._limit - self._in_hand)
        if capacity <= 0:
            self._busy = True
            time.sleep(min(timeout, BUSY_SECONDS))
            return []
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._refused, timeout)
            if self._refused is not None:
                raise self._refused
            older = len(self._waiting) - 1 if self._busy and self._every is None else 0
            for _ in range(older):
                self._waiting.popleft()
            shots = [self._waiting.popleft() for _ in range(min(capacity, len(self._waiting)))]
            self._changed.notify_all()
        if older > 0:
            self._drop(older)
        if shots:
            self._busy = False
        self._in_hand += len(shots)
        return [self._frame(shot) for shot in shots]

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Take note that these frames are done: a frame cannot be read a second time."""
        self._in_hand -= len(frames)

    def close(self) -> None:
        """Close the camera."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        if self.dropped:
            log.info("%s: %d frames dropped for newer ones in all", self.name, self.dropped)

    def _frame(self, shot: Shot) -> Frame:
        place = self._position
        position = Position(place.cluster, place.topic, place.partition, self._offset)
        self._offset += 1
        return Frame.of(
            shot.image if isinstance(shot.image, bytes) else encode_frame(shot.image),
            position,
            self._camera,
            round(shot.captured_at, 3),
            rejection=None if shot.damage is None else Rejection("undecodable", shot.damage),
            time_source=shot.time_source,
            part=shot.part,
            headers=shot.headers,
        )

    def _run(self) -> None:
        was_open = False
        while not self._closing.is_set():
            try:
                camera = self._open_camera()
            except (UsageError, InstallationError) as error:
                if not was_open:
                    self._refuse(error)
                    return
                self._lost(str(error))
                continue
            except Exception as error:  # of a driver, if it is not CameraLost
                why = str(error) if isinstance(error, CameraLost) else f"cannot be opened ({type(error).__name__})"
                self._opened(why)
                if not (self._waits or was_open):
                    return
                self._lost(why)
                continue
            self._opened("")
            was_open = True
            try:
                self._read(camera)
            except CameraLost as error:
                self._lost(str(error))
            except Exception as error:
                self._lost(f"cannot be read ({type(error).__name__})")
            finally:
                camera.close()

    def _opened(self, failure: str) -> None:
        with self._changed:
            if self._first is None:
                self._first = failure
            self._up = not failure
            self._changed.notify_all()

    def _refuse(self, error: AndonError) -> None:
        self._refused = UsageError(f"{self.name}: {error}") if isinstance(error, UsageError) else error
        self._opened(str(error))

    def _read(self, camera: Camera) -> None:
        steps_back = 0
        while not self._closing.is_set():
            shots = camera.read()
            if not shots:
                continue
            self._back()
            if camera.steps_back > steps_back:
                self._stepped_back(camera.steps_back - steps_back)
                steps_back = camera.steps_back
            for shot in shots:
                with self._changed:
                    if self._every is not None:
                        self._changed.wait_for(self._has_room)
                    self._waiting.append(shot)
                    dropped = 0
                    while self._every is None and len(self._waiting) > 1 and self._is_too_much():
                        self._waiting.popleft()
                        dropped += 1
                    self._changed.notify_all()
                if dropped:
                    self._drop(dropped)

    def _has_room(self) -> bool:
        """Whether a picture more may wait, none of which is dropped; at the end it does not matter."""
        waiting = self._waiting
        return self._closing.is_set() or not waiting or not (len(waiting) == self._every or self._is_too_much())

    def _is_too_much(self) -> bool:
        return len(self._waiting) > MAX_WAITING or _size(self._waiting) > MAX_WAITING_BYTES

    def _drop(self, count: int) -> None:
        self.dropped += count  # of two threads; the metric is exact
        if self._metrics is not None:
            self._metrics.source_dropped_frames.inc(count)
        now = time.monotonic()
        if now - self._dropped_logged >= REPEAT_LOG_SECONDS:
            self._dropped_logged = now
            log.warning(
                "%s: delivers faster than frames are inspected; the newest counts, %d dropped so far",
                self.name,
                self.dropped,
            )

    def _stepped_back(self, count: int) -> None:
        if self._metrics is not None:
            self._metrics.source_time_steps_back.inc(count)
        now = time.monotonic()
        if now - self._steps_back_logged >= REPEAT_LOG_SECONDS:
            self._steps_back_logged = now
            log.warning("%s: its time went backwards; the frame counts as captured when it arrived", self.name)

    def _lost(self, why: str) -> None:
        self._up = False
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
            if self._metrics is not None:
                self._metrics.source_up.set(0)
                self._metrics.source_outages.inc()
        if now - self._lost_logged >= REPEAT_LOG_SECONDS:
            self._lost_logged = now
            log.warning("%s: %s; trying again", self.name, why)
        self._closing.wait(self._pause)
        self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)

    def _back(self) -> None:
        if self._metrics is not None:
            self._metrics.source_up.set(1)
        if self._down_since is not None:
            log.info("%s: back after %.1f s", self.name, time.monotonic() - self._down_since)
        self._down_since, self._lost_logged, self._pause = None, -math.inf, FIRST_PAUSE_SECONDS


def _size(shots: Iterable[Shot]) -> int:
    return sum(len(shot.image) if isinstance(shot.image, bytes) else shot.image.nbytes for shot in shots)
