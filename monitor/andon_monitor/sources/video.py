"""Video files through OpenCV. Frames are encoded as PNG, as every frame has the bytes of an image file."""

import logging
from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2

from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import MAX_TIME, MIN_TIME, Frame, Position
from andon_monitor.sources import mp4

# Lossless, so that the model gets the camera's own pixels; level 1 takes a third of the default's time.
PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1]
# OpenCV stops at a packet that it cannot decode; the next read goes on behind it. After the last packet it keeps back
# some frames, and each read may give one of them.
MAX_DELAYED_FRAMES = 64
# Where the container does not count its frames, their number follows from duration and rate: it may be off by one, and
# sound may be a little longer than the picture.
UNCERTAIN_FRAMES = 1
UNCERTAIN_SECONDS = 0.5
MIN_STEP_SECONDS = 0.001  # between two frames: times are kept to the millisecond

log = logging.getLogger("andon")


class VideoSource:
    """The frames of a video file. `start`: when it starts, in seconds since 1970, to which their times are added.

    A second, raw capture counts the packets of the file. Packets without a frame, and frames that the file's header
    counts and that are not there, are `damage`, as is what `unread` says; what lies behind a damaged stretch is read.
    """

    live = False
    ready = True
    passed_over: str | None = None

    def __init__(
        self,
        capture: cv2.VideoCapture,
        packets: cv2.VideoCapture,
        position: Position,
        name: str,
        camera: str,
        start: float,
        unread: str | None = None,
    ) -> None:
        self.name = name
        self._unread = unread
        declared = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._declared = int(declared) if 0 < declared < 2**31 else 0
        self._rate = capture.get(cv2.CAP_PROP_FPS)
        self.length: int | None = self._declared or None
        self._capture = capture
        self._packets = packets
        self._position = position
        self._camera = camera
        self._start = start
        self._frames = 0
        self._seconds = 0.0  # of the latest frame
        self._packet_count = 0
        self._packets_ended = False
        self._ended = False

    @property
    def damage(self) -> str | None:
        """See `Source.damage`."""
        if not self._ended:
            return None
        parts = [self._unread] if self._unread else []
        if self._frames < max(self._packet_count, self._declared - self._uncertain):
            missing = max(self._packet_count, self._declared) - self._frames
            parts.append(f"damaged or cut short: {missing} frames cannot be read")
        return (
            "; ".join([f"{self.name}: {parts[0]}", *parts[1:], f"{self._frames} frames recovered"]) if parts else None
        )

    @property
    def _uncertain(self) -> int:
        """By how many frames the header's count may be off."""
        if self._packet_count >= self._declared or self.name.lower().endswith((".mp4", ".mov", ".m4v", ".avi")):
            return 0
        return max(UNCERTAIN_FRAMES, int(UNCERTAIN_SECONDS * self._rate) if self._rate > 0 else 0)

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next frame; None after the last."""
        if capacity == 0:
            return []
        failures = 0
        while not self._ended:
            ok, image = self._capture.read()
            self._count_packet()
            if ok:
                return [self._frame(image)]
            failures += 1
            self._ended = self._packets_ended and failures > MAX_DELAYED_FRAMES
        return None

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Does nothing: a video is always read from its start."""

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
        self._packets.release()

    def _count_packet(self) -> None:
        if not self._packets_ended:
            self._packets_ended = not self._packets.grab()
            self._packet_count += not self._packets_ended

    def _frame(self, image: Any) -> Frame:
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # of the frame just read
        if self._frames and seconds < self._seconds + MIN_STEP_SECONDS and self._rate > 0:  # a packet without a time
            seconds = self._seconds + 1 / self._rate
        self._seconds = seconds
        place = self._position
        position = Position(place.cluster, place.topic, place.partition, self._frames)
        self._frames += 1
        at = round(min(max(self._start + seconds, MIN_TIME), MAX_TIME), 3)
        return Frame.of(encode_frame(image), position, self._camera, at, default_time=self._start)


def encode_frame(image: Any) -> bytes:
    """A frame of OpenCV's, uint8 [H, W, 3] in BGR order, as a PNG file."""
    _, png = cv2.imencode(".png", image, PNG_OPTIONS)
    return png.tobytes()


def open_video(path: Path, camera: str | None) -> VideoSource:
    """Open a video file. Its modification time counts as its start. Raises UsageError."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise UsageError(f"{path}: not a video that OpenCV can read, or cut short")
    packets = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    packets.set(cv2.CAP_PROP_FORMAT, -1)  # packets as they are in the file, none decoded
    stat = path.stat()
    cluster = (
        "video-" + sha256(f"{path.name} {stat.st_size} {stat.st_mtime_ns}".encode(errors="replace")).hexdigest()[:16]
    )
    position = Position.of(cluster, path.name, 0, 0)
    start = min(max(stat.st_mtime_ns // 1_000_000 / 1000, MIN_TIME), MAX_TIME)
    unread = mp4.unread_parts(path) if path.suffix.lower() in mp4.SUFFIXES else None
    return VideoSource(capture, packets, position, str(path), camera or path.stem, start, unread)
