"""Industrial cameras as live sources."""

import logging
import re
import time

from andon_monitor.errors import UsageError
from andon_monitor.settings.groups import CameraSettings
from andon_monitor.sources.capture_time import CaptureTimes
from andon_monitor.sources.industrial.aravis import AravisDevice
from andon_monitor.sources.industrial.device import Device, FeatureError, Grab
from andon_monitor.sources.industrial.features import apply_settings
from andon_monitor.sources.industrial.gentl import GentlDevice
from andon_monitor.sources.industrial.pixel_formats import decode_pixels, encode_pnm, find_format
from andon_monitor.sources.industrial.pylon import PylonDevice
from andon_monitor.sources.live import CameraLost, LiveSource, Shot
from andon_monitor.telemetry.metrics import Metrics

SCHEMES = ("genicam", "pylon")
GRAB_SECONDS = 0.2  # for an image; then others have their turn, such as the end of the program
# A camera that runs freely and sends nothing for so long, and ten of its frames, is opened again.
SILENT_SECONDS = 10.0
SILENT_FRAMES = 10
TRIGGER_WAIT_SECONDS = 5.0  # for the image of a software trigger; then it counts as lost
PACKETS_SECONDS = 1.0  # between two looks at the count of lost packets
MAX_GAP = 10_000  # frame ids further apart are no gap: the camera began to count again
ENCODER_CHUNK = "EncoderValue"
HEADER = "genicam_"  # what headers of frames begin with
# Where each image is a part, none is dropped for a newer one. With a software trigger one waits: it is not older than
# the inspection of the one before it.
TRIGGERED = {"hardware": 16, "software": 1}

log = logging.getLogger("andon")


class IndustrialCamera:
    """An industrial camera that is open; see `live.Camera`.

    Images are PGM or PPM files with the camera's own values. One that did not arrive whole has no data, only its
    `damage`: never a picture of it.
    """

    def __init__(self, device: Device, name: str, settings: CameraSettings, metrics: Metrics | None = None) -> None:
        """Set what the settings say, and let it send. Raises CameraLost, UsageError; then the device is closed."""
        self._device = device
        self._name = name
        self._settings = settings
        self._metrics = metrics
        self._times = CaptureTimes()
        self._latest_id: int | None = None
        self._triggered_at: float | None = None  # of an image that has not arrived
        self._next_trigger = 0.0
        self._lost_packets = 0
        self._packets_at = 0.0
        try:
            apply_settings(device.features, settings)
            device.start()
        except FeatureError as error:
            device.close()
            raise CameraLost(str(error)) from None
        except BaseException:
            device.close()
            raise
        self._latest_at = time.monotonic()  # when an image arrived, or the camera was opened

    @property
    def steps_back(self) -> int:
        """How many images had a time that went backwards."""
        return self._times.steps_back

    def read(self) -> list[Shot]:
        """The next image, [] where there is none yet. Raises CameraLost."""
        try:
            self._trigger()
            grab = self._device.grab(GRAB_SECONDS)
        except FeatureError as error:
            raise CameraLost(str(error)) from None
        self._count_packets(at_once=grab is not None and grab.damage is not None)
        if grab is None:
            self._check_silence()
            return []
        self._latest_at, self._triggered_at = time.monotonic(), None
        self._count_missing(grab.frame_id)
        return [self._shot(grab)]

    def close(self) -> None:
        """Stop and close it."""
        self._device.close()

    def _trigger(self) -> None:
        """Trigger the next image where software does it, at most at the frame rate of the settings."""
        now = time.monotonic()
        if self._settings.trigger != "software" or now < self._next_trigger:
            return
        if self._triggered_at is not None and now - self._triggered_at < TRIGGER_WAIT_SECONDS:
            return
        self._device.features.execute("TriggerSoftware")
        self._triggered_at = now
        rate = self._settings.frame_rate
        self._next_trigger = now + 1 / rate if rate is not None else now

    def _check_silence(self) -> None:
        if self._settings.trigger == "hardware":
            return  # there may be no part for hours
        rate = self._settings.frame_rate
        longest = SILENT_SECONDS if rate is None else max(SILENT_SECONDS, SILENT_FRAMES / rate)
        if time.monotonic() - self._latest_at > longest:
            raise CameraLost(f"the camera has sent nothing for {longest:.0f} s")

    def _count_packets(self, at_once: bool) -> None:
        now = time.monotonic()
        if self._metrics is None or (not at_once and now - self._packets_at < PACKETS_SECONDS):
            return
        self._packets_at = now
        count = self._device.lost_packets()
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
        log.warning("%s: %d images that the camera sent are missing before number %d", self._name, missing, frame_id)

    def _shot(self, grab: Grab) -> Shot:
        data, damage, pixel_format = _image_file(grab)
        captured_at, time_source = self._times.time_of(grab.arrived, grab.camera_time, None)
        # The damage also travels to where the frame is inspected: in a topic an image without data is only empty.
        facts = {"frame_id": str(grab.frame_id), "pixel_format": pixel_format, "damage": damage or ""}
        if grab.camera_time is not None:
            facts["timestamp"] = f"{grab.camera_time:.9f}"
        facts |= {_snake_case(name): value for name, value in grab.chunks}
        encoder = dict(grab.chunks).get(ENCODER_CHUNK)
        return Shot(
            data,
            captured_at,
            time_source,
            damage=damage,
            part=None if encoder is None else {"encoder": encoder},
            headers=tuple((HEADER + name, value.encode()) for name, value in facts.items() if value),
        )


def open_industrial(
    uri: str,
    camera: str | None,
    settings: CameraSettings,
    wait: bool = False,
    metrics: Metrics | None = None,
    in_hand: int | None = None,
) -> LiveSource:
    """Open genicam:SERIAL or pylon:SERIAL; without a serial number the only camera there is. See `LiveSource`.

    Raises UsageError, InstallationError.
    """
    wanted = uri.partition(":")[2]

    def open_one() -> IndustrialCamera:
        return IndustrialCamera(_open_device(uri, settings), uri, settings, metrics)

    queue = TRIGGERED.get(settings.trigger or "")
    return LiveSource(
        open_one, uri, camera or wanted or uri, wait=wait, metrics=metrics, in_hand=in_hand, every_picture=queue
    )


def is_industrial(uri: str) -> bool:
    """Whether a URI names an industrial camera."""
    return uri.partition(":")[0] in SCHEMES and "://" not in uri


def _open_device(uri: str, settings: CameraSettings) -> Device:
    scheme, _, wanted = uri.partition(":")
    if settings.producer is not None:
        if scheme == "pylon":
            raise UsageError(f"camera.producer: {settings.producer}: pylon needs none; give genicam:{wanted}")
        return GentlDevice(wanted, settings.producer, settings.chunks)
    return PylonDevice(wanted, settings.chunks) if scheme == "pylon" else AravisDevice(wanted, settings.chunks)


def _image_file(grab: Grab) -> tuple[bytes, str | None, str]:
    """The image as a file, b"" where there is none; why so; and the name of its pixel format."""
    if grab.damage is not None:
        return b"", f"the image did not arrive whole: {grab.damage}", ""
    known = find_format(grab.code)
    if known is None:
        return b"", f"not supported: pixel format {grab.code:#010x}", ""
    try:
        image = decode_pixels(grab.data, grab.width, grab.height, known, grab.padding)
    except ValueError as error:
        return b"", f"the image did not arrive whole: {error}", known.name
    return encode_pnm(image, known.white), None, known.name


def _snake_case(name: str) -> str:
    """ExposureTime as exposure_time."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
