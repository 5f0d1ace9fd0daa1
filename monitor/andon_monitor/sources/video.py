"""Video files and cameras through OpenCV. Frames are encoded as PNG, as every frame has the bytes of an image file."""

import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import cv2

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import SourceError, UsageError
from andon_monitor.inspection.frames import Frame, Position

# Lossless, so that the model gets the camera's own pixels; level 1 takes a third of the default's time.
PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1]
# A camera that does not answer must not block the pipeline, neither at the start nor between two frames.
OPEN_TIMEOUT_MS = 10_000
READ_TIMEOUT_MS = 5_000


class VideoSource:
    """The frames of an OpenCV capture.

    `start`: when a video file starts, in seconds since 1970, to which its frames' times are added; None for a camera,
    whose frames are captured now.
    """

    ready = True
    damage: str | None = None  # OpenCV does not report any
    passed_over: str | None = None

    def __init__(
        self, capture: cv2.VideoCapture, position: Position, name: str, camera: str, start: float | None
    ) -> None:
        self.name = name
        self.live = start is None
        frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.length = int(frames) if not self.live and frames > 0 else None
        self._capture = capture
        self._position = position
        self._camera = camera
        self._start = start
        self._offset = 0

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next frame, however long the camera takes. Raises SourceError where a camera fails."""
        if capacity == 0:
            return []
        ok, image = self._capture.read()
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # of the frame just read
        if not ok:
            if self.live:
                raise SourceError(f"{self.name}: the camera sends no more frames")
            return None
        _, png = cv2.imencode(".png", image, PNG_OPTIONS)
        place = self._position
        frame = Frame(
            camera=self._camera,
            captured_at=time.time() if self._start is None else round(self._start + seconds, 3),
            data=png.tobytes(),
            position=Position(place.cluster, place.topic, place.partition, self._offset),
        )
        self._offset += 1
        return [frame]

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Does nothing: a frame cannot be read a second time."""

    def close(self) -> None:
        """Close the file or the camera."""
        self._capture.release()


def open_video(path: Path, camera: str | None) -> VideoSource:
    """Open a video file. Its modification time counts as its start. Raises UsageError."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise UsageError(f"{path}: not a video that OpenCV can read")
    stat = path.stat()
    cluster = "video-" + sha256(f"{path.name} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:16]
    position = Position(cluster, path.name, 0, 0)
    return VideoSource(capture, position, str(path), camera or path.stem, stat.st_mtime_ns // 1_000_000 / 1000)


def open_camera(uri: str, camera: str | None) -> VideoSource:
    """Open rtsp://..., http://... (Motion JPEG) or camera:N, N from 0. Raises UsageError."""
    name = show_address(uri)
    if uri.startswith("camera:"):
        number = uri.removeprefix("camera:")
        if not number.isdecimal():
            raise UsageError(f"{name}: not a number of a camera; right is camera:0")
        capture = cv2.VideoCapture(int(number))
    else:
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        capture = cv2.VideoCapture(uri, cv2.CAP_FFMPEG, timeouts)
    if not capture.isOpened():
        raise UsageError(f"{name}: no camera answers at this address")
    # Offsets of a camera's frames start at 0 with each run: the time of the start keeps their verdict ids apart.
    position = Position(f"{name}@{time.time_ns()}", camera or name, 0, 0)
    return VideoSource(capture, position, name, camera or name, None)
