"""Where frames come from: a folder of images, one image, a video file, a camera, a recording (`monitor.recording`).

`open_source` turns a name (contract 7) into a `Source`; `pacing` gives a recording its own tempo. Kafka, which needs
settings and metrics to be opened, is in `monitor.kafka`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from monitor.errors import UsageError
from monitor.frames import Frame
from monitor.imaging import SUFFIXES

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg")


class Source(Protocol):
    """A stream of frames. One thread alone calls its methods, from the first `poll` to `close`."""

    name: str  # for people: the URI without its password
    live: bool  # whether frames are captured now; a recording's verdicts carry no latency
    length: int | None  # how many frames there will be, where that is known

    @property
    def ready(self) -> bool:
        """Whether frames can come: a member of a group may wait for its share."""

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """Up to `capacity` frames, as soon as there are some, [] after `timeout` seconds, None after the last one.

        With capacity 0 it soon gives [], but does what it must to stay connected. Raises SourceError.
        """

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Take note that the verdicts on these frames, the next in the order they came, are durable."""

    def close(self) -> None:
        """Let go of what the source holds."""


def open_source(uri: str, camera: str | None = None) -> Source:
    """Open the source that `uri` names; `camera` names its camera where the source itself does not.

    Raises UsageError: no such path, no frames in it, a damaged manifest, a kind of source this version does not have.
    """
    # Imported where needed: a folder needs no OpenCV, and `andon-monitor --help` needs neither.
    from monitor.sources.folder import FolderSource, ImageSource

    scheme = uri.split("://", 1)[0].lower() if "://" in uri else ""
    if scheme == "kafka":
        raise UsageError(f"{hide_password(uri)}: a topic is a source of andon-monitor run alone")
    if scheme in ("rtsp", "rtsps", "http", "https") or uri.startswith("camera:"):
        from monitor.sources.video import open_camera

        return open_camera(uri, camera)
    if scheme:
        raise UsageError(
            f"{hide_password(uri)}: unknown kind of source {scheme}://; give kafka://..., rtsp://..., http://..., "
            "camera:0, a folder of images, a video file or a recording (.mcap)"
        )
    path = Path(uri)
    if not path.exists():
        raise UsageError(f"{uri}: no such folder or file")
    from monitor.recording.source import is_recording, open_recording

    if is_recording(uri):
        return open_recording(uri)
    if path.is_dir():
        return FolderSource(path, camera)
    if path.suffix.lower() in SUFFIXES:
        return ImageSource(path, camera)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        from monitor.sources.video import open_video

        return open_video(path, camera)
    known = ", ".join(suffix[1:] for suffix in SUFFIXES + VIDEO_SUFFIXES)
    raise UsageError(f"{uri}: neither an image nor a video nor a recording that is known (mcap, {known})")


def hide_password(uri: str) -> str:
    """A URI as it may be shown."""
    try:
        parts = urlsplit(uri)
        if parts.password is None:
            return uri
        return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"))
    except ValueError:
        return uri.partition("://")[0] + "://***"
