"""Opens cameras: of the network (`stream`), and of this machine, through OpenCV."""

import time
from typing import Any

import cv2

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import SourceSettings
from andon_monitor.sources.live import Camera, CameraLost, LiveSource, Shot
from andon_monitor.sources.stream import StreamCamera, check_installed
from andon_monitor.telemetry.metrics import Metrics

DEVICE = "camera:"
STREAMS = ("rtsp", "rtsps", "http", "https")
ENCRYPTED = ("rtsps://", "https://")


class DeviceCamera:
    """A camera of this machine that is open; see `live.Camera`. Its frames count as captured when they arrive."""

    steps_back = 0

    def __init__(self, number: int) -> None:
        self._capture: Any = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraLost("no camera answers at this address")

    def read(self) -> list[Shot]:
        """The next picture. Raises CameraLost."""
        ok, image = self._capture.read()
        if not ok:
            raise CameraLost("the camera sends no more frames")
        return [Shot(image, time.time(), "arrival")]

    def close(self) -> None:
        """Close the device."""
        self._capture.release()


def open_camera(
    uri: str,
    camera: str | None,
    settings: SourceSettings,
    wait: bool = False,
    metrics: Metrics | None = None,
    in_hand: int | None = None,
) -> LiveSource:
    """Open rtsp://..., http://... (Motion JPEG) or camera:N, N from 0; see `LiveSource`.

    Raises UsageError, InstallationError.
    """
    name = show_address(uri)
    number = uri.removeprefix(DEVICE)
    if uri.startswith(DEVICE) and not (number.isdecimal() and number.isascii() and len(number) < 10):
        raise UsageError(f"{name}: not a number of a camera; right is camera:0")
    if not uri.startswith(DEVICE):
        check_installed()
        check_authority(uri, settings)

    def open_one() -> Camera:
        if uri.startswith(DEVICE):
            return DeviceCamera(int(number))
        return StreamCamera(uri, settings.transport, settings.timeout, settings.ca_file, settings.redirects)

    return LiveSource(open_one, name, camera or name, wait=wait, metrics=metrics, in_hand=in_hand)


def check_authority(uri: str, settings: SourceSettings) -> None:
    """Raise UsageError where `source.ca_file` is not there, or the address is not encrypted."""
    if settings.ca_file is None:
        return
    if not uri.lower().startswith(ENCRYPTED):
        raise UsageError(f"{show_address(uri)}: source.ca_file is only for rtsps:// and https://")
    if not settings.ca_file.is_file():
        raise UsageError(f"source.ca_file {settings.ca_file}: no such file")
