"""The frames of an industrial camera. One that goes away is waited for."""

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Collection, Sequence

from andon_monitor.errors import InstallationError, UsageError, first_line
from andon_monitor.inspection.frames import Frame, Position, Rejection
from andon_monitor.settings.groups import CameraSettings
from andon_monitor.sources.industrial.aravis import AravisDevice
from andon_monitor.sources.industrial.clock import CameraClock
from andon_monitor.sources.industrial.device import CameraError, Device, FeatureError, Grab
from andon_monitor.sources.industrial.features import apply_settings
from andon_monitor.sources.industrial.pixel_formats import decode_pixels, encode_pnm, find_format
from andon_monitor.sources.industrial.pylon import PylonDevice
from andon_monitor.telemetry.metrics import Metrics

KINDS: dict[str, Callable[[str, tuple[str, ...]], Device]] = {"genicam": AravisDevice, "pylon": PylonDevice}
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 10.0  # between two attempts to open it
REPEAT_LOG_SECONDS = 30.0
# A camera that runs freely and sends nothing for so long, and ten of its frames, is opened again.
SILENT_SECONDS = 10.0
SILENT_FRAMES = 10
TRIGGER_WAIT_SECONDS = 5.0  # for the image of a software trigger; then it counts as lost
CLOSE_SECONDS = 10.0  # for an attempt to open that is under way
PACKETS_SECONDS = 1.0  # between two looks at the count of lost packets
MAX_GAP = 10_000  # frame ids further apart are no gap: the camera began to count again
ENCODER_CHUNK = "EncoderValue"
HEADER = "genicam_"  # what headers of frames begin with

log = logging.getLogger("andon")


class IndustrialSource:
    """The frames of a camera, captured now, as PGM or PPM files with the camera's own values.

    An image that did not arrive whole is a frame without data, rejected as `undecodable`: never a picture of it. A
    camera that goes away is opened again, with pauses that double up to ten seconds; `metrics` shows it. With `wait`
    this also holds for the start. Settings that the camera refuses raise UsageError, also with `wait`.
    """

    live = True
    length: int | None = None
    damage: str | None = None
    passed_over: str | None = None

    def __init__(
        self,
        open_device: Callable[[], Device],
        name: str,
        camera: str,
        settings: CameraSettings,
        wait: bool = False,
        metrics: Metrics | None = None,
    ) -> None:
        self.name = name
        self._open_device = open_device
        self._camera = camera
        self._settings = settings
        self._metrics = metrics
        # Offsets start at 0 with each run: the time of the start keeps the verdict ids of two runs apart.
        self._position = Position.of(f"{name}@{time.time_ns()}", camera, 0, 0)
        self._offset = 0
        self._device: Device | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._next_try = 0.0  # by the monotonic clock
        self._down_since: float | None = None
        self._logged = -math.inf
        self._was_open = False
        self._clock = CameraClock()
        self._latest_id: int | None = None
        self._latest_at = 0.0  # when an image arrived, or the camera was opened
        self._triggered_at: float | None = None  # of an image that has not arrived
        self._next_trigger = 0.0
        self._lost_packets = 0
        self._packets_at = 0.0
        self._opening: _Opening | None = _Opening(self._start, None)
        if not wait:
            self._opening.done.wait()
            if isinstance(self._opening.error, CameraError):
                raise UsageError(f"{name}: {self._opening.error}")
            self._take_opened()

    @property
    def ready(self) -> bool:
        """Whether the camera is open."""
        return self._device is not None

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next frame, [] while there is none or the camera is away."""
        if capacity == 0:
            return []
        if self._device is None:
            self._reopen(timeout)
        if self._device is None:
            return []
        try:
            self._trigger(self._device)
            grab = self._device.grab(timeout)
            self._count_packets(self._device, at_once=grab is not None and grab.damage is not None)
        except (CameraError, FeatureError) as error:
            self._lost(str(error))
            return []
        if grab is None:
            self._check_silence()
            return []
        self._back()
        return [self._frame(grab)]

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Does nothing: a frame cannot be read a second time."""

    def close(self) -> None:
        """Close the camera."""
        if self._opening is not None and self._opening.done.wait(CLOSE_SECONDS):
            self._device = self._device or self._opening.device
        if self._device is not None:
            self._device.close()
        self._device = self._opening = None

    def _start(self) -> Device:
        """Open the camera and let it send. Raises CameraError, UsageError, InstallationError."""
        device = self._open_device()
        try:
            apply_settings(device.features, self._settings)
            device.start()
        except FeatureError as error:
            device.close()
            raise CameraError(str(error)) from None
        except BaseException:
            device.close()
            raise
        return device

    def _reopen(self, timeout: float) -> None:
        """Go on with opening the camera, for at most `timeout` seconds."""
        if self._opening is None:
            wait = self._next_try - time.monotonic()
            if wait > 0:
                time.sleep(min(wait, timeout))
                return
            self._opening = _Opening(self._start, None)
        if self._opening.done.wait(timeout):
            self._take_opened()

    def _take_opened(self) -> None:
        """Take what was opened, or note why it could not be. Raises UsageError at the start, and InstallationError."""
        opening, self._opening = self._opening, None
        assert opening is not None
        if isinstance(opening.error, UsageError) and not self._was_open:
            raise UsageError(f"{self.name}: {opening.error}")
        if isinstance(opening.error, InstallationError):
            raise opening.error
        if opening.device is None:
            self._lost(first_line(opening.error) if opening.error else "it could not be opened")
            return
        self._device, self._was_open = opening.device, True
        self._clock, self._latest_id, self._latest_at = CameraClock(), None, time.monotonic()
        self._triggered_at, self._lost_packets = None, 0

    def _trigger(self, device: Device) -> None:
        """Trigger the next image where software does it, at most at the frame rate of the settings."""
        now = time.monotonic()
        if self._settings.trigger != "software" or now < self._next_trigger:
            return
        if self._triggered_at is not None and now - self._triggered_at < TRIGGER_WAIT_SECONDS:
            return
        device.features.execute("TriggerSoftware")
        self._triggered_at = now
        rate = self._settings.frame_rate
        self._next_trigger = now + 1 / rate if rate is not None else now

    def _check_silence(self) -> None:
        if self._settings.trigger == "hardware":
            return  # there may be no part for hours
        rate = self._settings.frame_rate
        longest = SILENT_SECONDS if rate is None else max(SILENT_SECONDS, SILENT_FRAMES / rate)
        if time.monotonic() - self._latest_at > longest:
            self._lost(f"the camera has sent nothing for {longest:.0f} s")

    def _count_packets(self, device: Device, at_once: bool) -> None:
        now = time.monotonic()
        if self._metrics is None or (not at_once and now - self._packets_at < PACKETS_SECONDS):
            return
        self._packets_at = now
        count = device.lost_packets()
        if count > self._lost_packets:
            self._metrics.source_lost_packets.inc(count - self._lost_packets)
        self._lost_packets = count

    def _count_missing(self, frame_id: int) -> None:
        """Count the images that the camera numbered and that never arrived."""
        latest, self._latest_id = self._latest_id, frame_id
        missing = 0 if latest is None else frame_id - latest - 1
        if not 0 < missing <= MAX_GAP:
            return
        if self._metrics is not None:
            self._metrics.source_missing_frames.inc(missing)
        log.warning("%s: %d images that the camera sent are missing before number %d", self.name, missing, frame_id)

    def _frame(self, grab: Grab) -> Frame:
        self._latest_at, self._triggered_at = time.monotonic(), None
        self._count_missing(grab.frame_id)
        age = time.monotonic() - self._clock.captured(grab.camera_time, grab.arrived)
        data, rejection, depth = _image_file(grab)
        place = self._position
        position = Position(place.cluster, place.topic, place.partition, self._offset)
        self._offset += 1
        headers = {"frame_id": str(grab.frame_id), "pixel_format": depth}
        if grab.camera_time is not None:
            headers["timestamp"] = f"{grab.camera_time:.9f}"
        headers |= {_snake_case(name): value for name, value in grab.chunks}
        encoder = dict(grab.chunks).get(ENCODER_CHUNK)
        return Frame.of(
            data,
            position,
            self._camera,
            time.time() - age,
            headers=tuple((HEADER + name, value.encode()) for name, value in headers.items() if value),
            part=None if encoder is None else {"encoder": encoder},
            rejection=rejection,
            time_source="arrival" if grab.camera_time is None else "stream",
        )

    def _lost(self, why: str) -> None:
        device, self._device = self._device, None
        if device is not None:
            # Closing a camera that is gone takes seconds.
            self._opening = _Opening(self._start, device)
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
    """A camera that is being opened in a thread, once an earlier one is closed: both may take seconds in a driver."""

    def __init__(self, start: Callable[[], Device], earlier: Device | None) -> None:
        self.device: Device | None = None
        self.error: Exception | None = None
        self.done = threading.Event()
        self._start = start
        self._earlier = earlier
        threading.Thread(target=self._run, name="camera", daemon=True).start()

    def _run(self) -> None:
        try:
            if self._earlier is not None:
                self._earlier.close()
            self.device = self._start()
        except Exception as error:  # whatever a driver raises, the camera is not there
            self.error = error
        finally:
            self.done.set()


def open_industrial(
    uri: str, camera: str | None, settings: CameraSettings, wait: bool = False, metrics: Metrics | None = None
) -> IndustrialSource:
    """Open genicam:SERIAL or pylon:SERIAL; without a serial number the only camera there is. See `IndustrialSource`.

    Raises UsageError, InstallationError.
    """
    scheme, _, wanted = uri.partition(":")
    kind = KINDS[scheme]
    return IndustrialSource(
        lambda: kind(wanted, settings.chunks), uri, camera or wanted or uri, settings, wait, metrics
    )


def is_industrial(uri: str) -> bool:
    """Whether a URI names an industrial camera."""
    return uri.partition(":")[0] in KINDS and "://" not in uri


def _image_file(grab: Grab) -> tuple[bytes, Rejection | None, str]:
    """The image as a file, or why there is none; and the name of its pixel format."""
    if grab.damage is not None:
        return b"", Rejection("undecodable", f"the image did not arrive whole: {grab.damage}"), ""
    known = find_format(grab.code)
    if known is None:
        return b"", Rejection("undecodable", f"not supported: pixel format {grab.code:#010x}"), ""
    try:
        image = decode_pixels(grab.data, grab.width, grab.height, known, grab.padding)
    except ValueError as error:
        return b"", Rejection("undecodable", f"the image did not arrive whole: {error}"), known.name
    return encode_pnm(image, known.white), None, known.name


def _snake_case(name: str) -> str:
    """ExposureTime as exposure_time."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
