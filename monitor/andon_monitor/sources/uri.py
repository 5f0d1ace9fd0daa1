"""Opens the source that a path or URI names."""

from pathlib import Path

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import SUFFIXES
from andon_monitor.settings.groups import CameraSettings, SourceSettings
from andon_monitor.sources.base import Source
from andon_monitor.sources.camera import DEVICE, STREAMS, open_camera
from andon_monitor.sources.folder import FolderSource, ImageSource
from andon_monitor.sources.industrial.source import is_industrial, open_industrial
from andon_monitor.sources.recording import is_recording, open_recording
from andon_monitor.sources.video import open_video
from andon_monitor.sources.watch import SCHEME as WATCH
from andon_monitor.sources.watch import open_watched
from andon_monitor.telemetry.metrics import Metrics

MAX_SHOWN = 200  # characters of a path in an error message
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg")


def open_source(
    uri: str,
    camera: str | None = None,
    *,
    settings: SourceSettings | None = None,
    industrial: CameraSettings | None = None,
    wait: bool = False,
    metrics: Metrics | None = None,
    in_hand: int | None = None,
) -> Source:
    """Open the source that `uri` names; `camera` names its camera where the source itself does not.

    `settings`: how live sources are read; `industrial`: those of an industrial camera. `wait`, `metrics` and `in_hand`:
    see `LiveSource`.

    Raises UsageError: no such path, no frames in it, a damaged manifest, an unknown kind of source.
    """
    if is_industrial(uri):
        return open_industrial(uri, camera, industrial or CameraSettings(), wait, metrics, in_hand)
    scheme = uri.split("://", 1)[0].lower() if "://" in uri else ""
    if scheme == "kafka":
        raise UsageError(f"{show_address(uri)}: a topic is not a source of this command")
    if scheme in STREAMS or uri.startswith(DEVICE):
        return open_camera(uri, camera, settings or SourceSettings(), wait, metrics, in_hand)
    if uri.startswith(WATCH):
        return open_watched(uri, camera, settings or SourceSettings(), metrics)
    if scheme:
        raise UsageError(
            f"{show_address(uri)}: unknown kind of source {scheme}://; give kafka://..., rtsp://..., http://..., "
            "camera:0, genicam:SERIAL, pylon:SERIAL, watch:FOLDER, a folder of images, a video file or a recording "
            "(.mcap)"
        )
    path = Path(uri)
    try:
        if not path.exists():
            raise UsageError(f"{show_address(uri)}: no such folder or file")
    except (OSError, ValueError) as error:  # a name that is too long, a character that no path can have
        raise UsageError(
            f"{show_address(uri)[:MAX_SHOWN]}: cannot be read ({getattr(error, 'strerror', None) or 'no path'})"
        ) from None
    if not path.is_dir() and not path.is_file():
        raise UsageError(f"{show_address(uri)}: neither a file nor a folder")
    if is_recording(uri):
        return open_recording(uri)
    if path.is_dir():
        return FolderSource(path, camera)
    if path.suffix.lower() in SUFFIXES:
        return ImageSource(path, camera)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return open_video(path, camera)
    known = ", ".join(suffix[1:] for suffix in SUFFIXES + VIDEO_SUFFIXES)
    raise UsageError(f"{show_address(uri)}: not a file that can be read; known formats: mcap, {known}")
