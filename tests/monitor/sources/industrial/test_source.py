"""What a source makes of grabbed images, whatever the camera."""

from collections.abc import Iterator

import pytest
from andon_monitor.inspection.frames import Frame
from andon_monitor.settings.groups import CameraSettings
from andon_monitor.sources.industrial.device import Grab
from andon_monitor.sources.industrial.pixel_formats import find_format
from andon_monitor.sources.industrial.source import IndustrialCamera
from andon_monitor.sources.live import CameraLost, LiveSource
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.live_frames import frames_until

MONO8 = 0x01080001


class PixelFormatOnly:
    """The features of a camera that has one pixel format and nothing to set."""

    def kind(self, name: str) -> str | None:
        return "enumeration" if name == "PixelFormat" else None

    def entries(self, name: str) -> dict[str, int]:
        return {"Mono8": MONO8}

    def number(self, name: str) -> int:
        return MONO8


class Played:
    """A device that delivers given images, as no emulated camera sends chunk data or skips numbers."""

    features = PixelFormatOnly()

    def __init__(self, grabs: list[Grab]) -> None:
        self._grabs: Iterator[Grab] = iter(grabs)

    def start(self) -> None:
        pass

    def grab(self, timeout: float) -> Grab | None:
        grab = next(self._grabs, None)
        if grab is None:
            raise CameraLost("the end")
        return grab

    def lost_packets(self) -> int:
        return 7

    def close(self) -> None:
        pass


def grabbed(number: int, code: int = MONO8, data: bytes = bytes(range(16)), chunks=()) -> Grab:
    return Grab(data, 4, 4, code, 0, number, 1.5 + number / 10, 100.0 + number / 10, None, chunks)


def play(*grabs: Grab) -> tuple[list[Frame], Metrics]:
    metrics = Metrics()
    camera = IndustrialCamera(Played(list(grabs)), "genicam:1", CameraSettings(), metrics)
    source = LiveSource(lambda: camera, "genicam:1", "left", metrics=metrics, every_picture=16)
    frames = frames_until(source, lambda frames: len(frames) == len(grabs))
    source.close()
    return frames, metrics


def test_chunk_data_are_headers_and_the_encoder_is_the_parts() -> None:
    chunks = (("ExposureTime", "5000.0"), ("EncoderValue", "-42"), ("LineStatusAll", "3"))
    frames, _ = play(grabbed(1, chunks=chunks))
    assert dict(frames[0].headers) == {
        "genicam_frame_id": b"1",
        "genicam_pixel_format": b"Mono8",
        "genicam_timestamp": b"1.600000000",
        "genicam_exposure_time": b"5000.0",
        "genicam_encoder_value": b"-42",
        "genicam_line_status_all": b"3",
    }
    assert frames[0].part.encoder == -42


def test_images_that_never_arrived_are_counted_by_their_numbers(caplog: pytest.LogCaptureFixture) -> None:
    _, metrics = play(*(grabbed(number) for number in (3, 4, 9, 10, 0, 1)))  # at 0 the camera began to count again
    assert metrics.registry.get_sample_value("andon_source_missing_frames_total") == 4
    assert "genicam:1: 4 images that the camera sent are missing before number 9" in caplog.text
    assert metrics.registry.get_sample_value("andon_source_lost_packets_total") == 7


def test_pixels_that_are_not_known_or_not_all_there_are_uninspectable() -> None:
    frames, _ = play(grabbed(1, code=0x02180020), grabbed(2, data=b"short"), grabbed(3))
    assert [frame.rejection and frame.rejection.detail for frame in frames] == [
        "not supported: pixel format 0x02180020",
        "the image did not arrive whole: 5 bytes, 4 x 4 pixels of Mono8 are 16",
        None,
    ]
    assert [len(frame.data) for frame in frames[:2]] == [0, 0]
    assert dict(frames[0].headers)["genicam_damage"] == b"not supported: pixel format 0x02180020"
    assert find_format(0x02180020) is None
