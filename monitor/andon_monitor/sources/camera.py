"""Cameras through OpenCV. One that goes away is waited for."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

import cv2

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame, Position
from andon_monitor.sources.video import encode_frame
from andon_monitor.telemetry.metrics import Metrics

# A camera that does not answer must not block for long, neither at the start nor between two frames.
OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 5_000
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 10.0  # between two attempts to open it
REPEAT_LOG_SECONDS = 30.0

log = logging.getLogger("andon")

Open = Callable[[], cv2.VideoCapture]


class CameraSource:
    """The frames of a camera, captured now.

    A camera that stops sending or does not answer is opened again, with pauses that double up to ten seconds; `metrics`
    shows it. With `wait` this also holds for the start; without it, a camera that does not answer raises UsageError.
    """

    live = True
    length: int | None = None
    damage: str | None = None
    passed_over: str | None = None

    def __init__(self, open_capture: Open, name: str, camera: str, wait: bool, metrics: Metrics | None = None) -> None:
        self.name = name
        self._open_capture = open_capture
        self._camera = camera
        self._metrics = metrics
        # Offsets start at 0 with each run: the time of the start keeps the verdict ids of two runs apart.
        self._position = Position.of(f"{name}@{time.time_ns()}", camera, 0, 0)
        self._offset = 0
        self._capture: cv2.VideoCapture | None = None
        self._opening: _Opening | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._next_try = 0.0  # by the monotonic clock
        self._down_since: float | None = None
        self._logged = -math.inf
        if wait:
            self._opening = _Opening(open_capture)
        else:
            capture = open_capture()
            if not capture.isOpened():
                raise UsageError(f"{name}: no camera answers at this address")
            self._capture = capture

    @property
    def ready(self) -> bool:
        """Whether the camera is open."""
        return self._capture is not None

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next frame, [] while the camera is away."""
        if capacity == 0:
            return []
        if self._capture is None:
            self._reopen(timeout)
        if self._capture is None:
            return []
        ok, image = self._capture.read()
        if not ok:
            self._close_capture()
            self._lost("the camera sends no more frames")
            return []
        self._back()
        place = self._position
        position = Position(place.cluster, place.topic, place.partition, self._offset)
        self._offset += 1
        return [Frame.of(encode_frame(image), position, self._camera, time.time())]

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Does nothing: a frame cannot be read a second time."""

    def close(self) -> None:
        """Close the camera."""
        self._close_capture()

    def _reopen(self, timeout: float) -> None:
        """Go on with opening the camera, for at most `timeout` seconds."""
        if self._opening is None:
            wait = self._next_try - time.monotonic()
            if wait > 0:
                time.sleep(min(wait, timeout))
                return
            self._opening = _Opening(self._open_capture)
        if not self._opening.done.wait(timeout):
            return
        capture, self._opening = self._opening.capture, None
        if capture is not None and capture.isOpened():
            self._capture = capture
        else:
            self._lost("no camera answers at this address")

    def _close_capture(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _lost(self, why: str) -> None:
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
            if self._metrics is not None:
                self._metrics.source_up.set(0)
                self._metrics.source_outages.inc()
        if now - self._logged >= REPEAT_LOG_SECONDS:
            self._logged = now
            log.warning("%s: %s; trying again", self.name, why)
        self._next_try = now + self._pause
        self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS)

    def _back(self) -> None:
        if self._metrics is not None:
            self._metrics.source_up.set(1)
        if self._down_since is not None:
            log.info("%s: back after %.1f s", self.name, time.monotonic() - self._down_since)
        self._down_since, self._logged, self._pause = None, -math.inf, FIRST_PAUSE_SECONDS


class _Opening:
    """A camera that is being opened in a thread: this may take as long as OPEN_TIMEOUT_MS, or hang in a driver."""

    def __init__(self, open_capture: Open) -> None:
        self.capture: cv2.VideoCapture | None = None
        self.done = threading.Event()
        self._open_capture = open_capture
        threading.Thread(target=self._run, name="camera", daemon=True).start()

    def _run(self) -> None:
        try:
            self.capture = self._open_capture()
        finally:
            self.done.set()


def open_camera(uri: str, camera: str | None, wait: bool = False, metrics: Metrics | None = None) -> CameraSource:
    """Open rtsp://..., http://... (Motion JPEG) or camera:N, N from 0; see `CameraSource`. Raises UsageError."""
    name = show_address(uri)
    if uri.startswith("camera:") and not _is_number(uri.removeprefix("camera:")):
        raise UsageError(f"{name}: not a number of a camera; right is camera:0")

    def open_capture() -> cv2.VideoCapture:
        if uri.startswith("camera:"):
            return cv2.VideoCapture(int(uri.removeprefix("camera:")))
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        return cv2.VideoCapture(uri, cv2.CAP_FFMPEG, timeouts)

    return CameraSource(open_capture, name, camera or name, wait, metrics)


def _is_number(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 10
