"""Network cameras, RTSP and Motion JPEG over HTTP, through PyAV: lost packets are known, and times are the camera's.

PyAV comes with the extra `andon[camera]`. OpenCV, which reads video files here, hides lost packets, damaged pictures
and the times of sender reports.
"""

import errno
import logging
import struct
import time
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any, Literal

from andon_monitor.errors import InstallationError
from andon_monitor.sources.capture_time import CaptureTimes
from andon_monitor.sources.live import CameraLost, Shot

try:
    import av
    import av.error
    import av.logging
except ModuleNotFoundError:
    av = None  # type: ignore[assignment]

Transport = Literal["tcp", "udp"]

OPEN_SECONDS = 10.0
# Packets that may be out of order before one counts as lost. Also over TCP: a camera whose buffer is full drops some,
# and FFmpeg only looks for missing ones where it has a queue.
REORDERED_PACKETS = 16
MAX_REORDERING_MICROSECONDS = 100_000
PROBED_BYTES, PROBED_MICROSECONDS = 1_000_000, 1_000_000  # before the first picture
# What FFmpeg logs of packets that never came. It marks neither packets nor pictures: a picture that is built on a lost
# one is a mixture of two moments without a sign of it. A test with lost packets holds this text to what is logged.
LOST_PACKETS = "RTP: missed"
# What FFmpeg logs where a certificate is not of `source.ca_file`; a test holds it to that, too.
UNPROVEN = "failed verification"
# Only these may a stream lead to; no playlist of a camera opens files of this machine.
PROTOCOLS = "rtsp,rtsps,rtp,rtcp,udp,tcp,tls,http,https,httpproxy,crypto"
RECENT_REPORTS, MIN_REPORTS = 15, 3  # packets
SIDE_DATA = "prft"  # producer reference time: of sender reports, in microseconds since 1970

# Without redirects: formats that lead to no other address, as playlists (HLS, DASH, SDP) do.
FORMATS = "mpjpeg,mjpeg,jpeg_pipe,png_pipe,mpegts,mpeg,mov,matroska,flv,avi,h264,hevc,m4v,ogg,asf,rtsp"
# What FFmpeg logs of an RTSP redirect, which it always follows, and of a playlist; tests hold it to both.
REDIRECTED, PLAYLIST = "Redirecting to ", "Format not on whitelist"

LOST = "packets of the stream were lost; pictures cannot be inspected until its next key frame"
DAMAGED = "the picture is damaged in the stream"
SENDS_ON = "it sends on to another address, which source.redirects does not allow"
NOT_OF_AUTHORITY = "its certificate is not one that source.ca_file proves"


class StreamCamera:
    """A stream that is open; see `live.Camera`. Raises CameraLost."""

    def __init__(
        self, uri: str, transport: Transport, timeout: float, ca_file: Path | None = None, redirects: bool = True
    ) -> None:
        _quiet(av.logging.WARNING if redirects else av.logging.INFO)
        self._timeout = timeout
        self._capture: Any = av.logging.Capture(local=True)  # what FFmpeg says on this thread
        self._said = self._capture.__enter__()
        options = {
            "probesize": str(PROBED_BYTES),
            "analyzeduration": str(PROBED_MICROSECONDS),
            "protocol_whitelist": PROTOCOLS,
        }
        if uri.lower().startswith("rtsp"):
            options |= {
                "rtsp_transport": transport,
                "allowed_media_types": "video",
                "reorder_queue_size": str(REORDERED_PACKETS),
                "max_delay": str(MAX_REORDERING_MICROSECONDS),
            }
        if not redirects:
            options["format_whitelist"] = FORMATS
            if uri.lower().startswith("http"):
                options["max_redirects"] = "0"
        if ca_file is not None:
            options |= {"tls_verify": "1", "ca_file": str(ca_file)}
        self._container: Any = None
        try:
            self._container = _open(uri, options, timeout)
            if not redirects and self._has_said(REDIRECTED):
                raise CameraLost(SENDS_ON)
            streams = self._container.streams.video
            if not streams:
                raise CameraLost("sends no video")
            stream = streams[0]
            stream.codec_context.thread_count = 1  # frames on several threads come late, and log there
            # Each picture of Motion JPEG is an image file: it is taken as it is.
            self._is_jpeg = stream.codec_context.name == "mjpeg"
            self._packets = self._container.demux(stream)
        except av.error.FFmpegError as error:
            why = _why(error, OPEN_SECONDS)
            if self._has_said(UNPROVEN):
                why = NOT_OF_AUTHORITY
            # FFmpeg has no error of its own for one redirect too many.
            elif not redirects and (error.errno == errno.EIO or self._has_said(REDIRECTED, PLAYLIST)):
                why = SENDS_ON
            self.close()
            raise CameraLost(why) from None
        except CameraLost:
            self.close()
            raise
        self._has_times = uri.lower().startswith("rtsp")  # those of Motion JPEG over HTTP are made up
        self._times = CaptureTimes()
        # Seconds from the stream's times to the camera's wall clock, by the latest packets. FFmpeg's parser may give a
        # packet the time of the one before, above all where some were lost: the median counts.
        self._wall_offsets: deque[float] = deque(maxlen=RECENT_REPORTS)
        self._lost = False  # whether packets were lost since the last key frame
        self._is_silent = False
        self._lost_before = False  # while the packet before was read

    @property
    def steps_back(self) -> int:
        """See `live.Camera`."""
        return self._times.steps_back

    def read(self) -> list[Shot]:
        """The pictures of the next packet. Raises CameraLost."""
        if self._is_silent:
            raise CameraLost(f"no answer within {self._timeout:g} s")
        began = time.monotonic()
        try:
            packet = next(self._packets)
        except StopIteration:
            raise CameraLost("the camera sends no more frames") from None
        except av.error.FFmpegError as error:
            if isinstance(error, av.error.ExitError | av.error.TimeoutError):
                raise CameraLost(_why(error, self._timeout)) from None
            raise CameraLost("the camera sends no more frames") from None
        arrival = time.time()
        # Where the time is over FFmpeg first gives the picture that it holds back, and would then wait once more.
        self._is_silent = time.monotonic() - began >= self._timeout
        lost = any(LOST_PACKETS in message for _, _, message in self._said) or packet.is_corrupt
        self._said.clear()
        if packet.size == 0:  # the end
            return []
        stream = None if packet.pts is None or not self._has_times else float(packet.pts * packet.time_base)
        self._note_report(packet, stream)
        if self._is_jpeg:
            shot = self._shot(bytes(packet), arrival, stream, None)
            return [self._shot(b"", arrival, stream, DAMAGED), shot] if lost else [shot]
        # The packet that completes a picture is already one of the next: a loss may be in either. So a key frame ends
        # the damage only where nothing was lost while it, and the packet before it, were read.
        if lost:
            self._lost = True
        elif packet.is_keyframe and not self._lost_before:
            self._lost = False
        self._lost_before = lost
        return self._decode(packet, arrival, stream)

    def close(self) -> None:
        """Close the connection."""
        container, self._container = self._container, None
        try:
            if container is not None:
                container.close()
        finally:
            if self._capture is not None:
                self._capture.__exit__(None, None, None)
                self._capture = None

    def _has_said(self, *texts: str) -> bool:
        return any(text in message for _, _, message in self._said for text in texts)

    def _decode(self, packet: Any, arrival: float, stream: float | None) -> list[Shot]:
        try:
            pictures = packet.decode()
        except av.error.FFmpegError:
            self._lost = True
            pictures = []
        shots = []
        for picture in pictures:
            moment = stream
            if picture.pts is not None and stream is not None:
                moment = float(picture.pts * picture.time_base)
            self._lost = self._lost or picture.is_corrupt
            damage = LOST if self._lost else None
            shots.append(self._shot(picture.to_ndarray(format="bgr24"), arrival, moment, damage))
        if not pictures and self._lost:
            shots.append(self._shot(b"", arrival, stream, LOST))
        return shots

    def _shot(self, image: Any, arrival: float, stream: float | None, damage: str | None) -> Shot:
        wall = None
        if stream is not None and len(self._wall_offsets) >= MIN_REPORTS:
            wall = stream + median(self._wall_offsets)
        captured_at, source = self._times.time_of(arrival, stream, wall)
        return Shot(image, captured_at, source, damage)

    def _note_report(self, packet: Any, stream: float | None) -> None:
        """Note what the latest sender report says of the stream's times."""
        if stream is None or not packet.has_sidedata(SIDE_DATA):
            return
        (microseconds,) = struct.unpack_from("<q", bytes(packet.get_sidedata(SIDE_DATA)))
        self._wall_offsets.append(microseconds / 1e6 - stream)


def _open(uri: str, options: dict[str, str], timeout: float) -> Any:
    """Open a stream; the pictures by which it is recognised are kept.

    Motion JPEG over HTTP needs no parser, which would hold each picture back until the next one.
    """
    timeouts = (OPEN_SECONDS, timeout)
    if uri.lower().startswith("http"):
        try:
            unparsed = options | {"fflags": "+noparse"}
            return av.open(uri, format="mpjpeg", options=unparsed, timeout=timeouts)
        except av.error.InvalidDataError:  # something else
            pass
    return av.open(uri, options=options, timeout=timeouts)


def check_installed() -> None:
    """Raise InstallationError where PyAV is not there."""
    if av is None:
        raise InstallationError("network cameras need PyAV, which is not installed; run pip install 'andon[camera]'")


def _why(error: Any, seconds: float) -> str:
    """What went wrong, without the address, which FFmpeg's own messages have."""
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return "the camera refuses this user or password"
        case av.error.HTTPNotFoundError():
            return "the camera has no stream of this name"
        case av.error.ExitError() | av.error.TimeoutError():
            return f"no answer within {seconds:g} s"
        case av.error.InvalidDataError():
            return "what answers at this address is no stream that can be read"
        case av.error.EOFError():
            return "the camera sends no more frames"
        case av.error.ConnectionRefusedError():
            return "no camera answers at this address"
    return f"no camera answers at this address ({error.strerror or type(error).__name__})"


def _quiet(level: int) -> None:
    """Let FFmpeg say what this module reads, and nothing to anybody else: it names addresses with passwords."""
    log = logging.getLogger("libav")
    log.propagate = False
    if not log.handlers:
        log.addHandler(logging.NullHandler())
        av.logging.set_skip_repeated(False)
    if (av.logging.get_level() or 0) < level:
        av.logging.set_level(level)
