"""Basler's cameras, on pylon's emulated ones."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import decode, decode_values, read_header
from andon_monitor.inspection.frames import Frame
from andon_monitor.settings.groups import CameraSettings
from andon_monitor.sources import live
from andon_monitor.sources.base import Source
from andon_monitor.sources.industrial import source as source_module
from andon_monitor.sources.industrial.pylon import PylonDevice
from andon_monitor.sources.industrial.source import IndustrialCamera
from andon_monitor.sources.live import LiveSource
from andon_monitor.sources.uri import open_source
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.industrial_cameras import EMULATED
from tests.fixtures.live_frames import frames_until

pytestmark = pytest.mark.usefixtures("pylon")
SMALL = (0, 0, 64, 48)
URI = f"pylon:{EMULATED[0]}"


@contextmanager
def opened(uri: str = URI, **settings: Any) -> Iterator[Source]:
    source = open_source(uri, industrial=CameraSettings(**{"region": SMALL, **settings}))
    try:
        yield source
    finally:
        source.close()


def first(source: Source, count: int = 1) -> list[Frame]:
    return frames_until(source, lambda frames: len(frames) >= count)


def test_frames_have_the_cameras_values_and_its_facts() -> None:
    with opened(pixel_format="Mono12", exposure=2000, gain=1.5, frame_rate=100) as source:
        frames = first(source, 3)
    assert [frame.position.offset for frame in frames] == [0, 1, 2]
    assert {frame.camera for frame in frames} == {EMULATED[0]}
    headers = dict(frames[1].headers)
    assert headers["genicam_frame_id"] == b"1"
    assert headers["genicam_pixel_format"] == b"Mono12"
    header = read_header(frames[0].data)
    assert (header.width, header.height, header.levels) == (64, 48, 4095)
    values = decode_values(frames[0].data)
    assert 255 < values.max() <= 4095
    grey = decode(frames[0].data, 1)
    assert np.abs(grey.astype(float) - values / 4095 * 255).max() < 1  # the white level is the format's


@pytest.mark.parametrize(
    ("name", "channels", "levels"),
    [("Mono8", 1, 255), ("Mono16", 1, 65535), ("BayerGB10", 3, 1023), ("RGB8", 3, 255)],
)
def test_pixel_formats_of_the_camera(name: str, channels: int, levels: int) -> None:
    """RGB8 has another name in this camera."""
    with opened(pixel_format=name) as source:
        header = read_header(first(source)[0].data)
    assert (header.channels, header.levels) == (channels, levels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pixel_format": "Foo"}, "camera.pixel_format: 'Foo' should be one of Mono8, "),
        ({"exposure": 1e15}, r"camera.exposure: 1e\+15 should be 1 to 1e\+07"),
        ({"gain": -3}, "camera.gain: -3 should be 0 to 48"),
        ({"frame_rate": 1e9}, "camera.frame_rate: "),
        ({"region": (0, 0, 100_000, 48)}, "camera.region: Width: 100000 should be 1 to 4096"),
        ({"region": (4096, 0, 64, 48)}, "camera.region: OffsetX: 4096 should be 0 to 4032"),
        ({"trigger": "hardware", "trigger_line": "Line9"}, "camera.trigger_line: 'Line9' should be one of Software, L"),
        ({"chunks": ("ExposureTime",)}, "camera.chunks: ExposureTime: this camera sends no chunk data"),
        ({"features": {"Nope": 1}}, "camera.features: Nope: 1: this camera has no feature Nope"),
        ({"features": {"BinningVertical": 1.5}}, "camera.features: BinningVertical: 1.5 should be a whole number"),
        ({"features": {"ReverseX": "yes"}}, "camera.features: ReverseX: 'yes' should be true or false"),
        ({"features": {"TriggerSoftware": 1}}, "camera.features: TriggerSoftware: 1 should be true, to execute it"),
        ({"features": {"DeviceUserID": 7}}, "camera.features: DeviceUserID: 7 should be a text"),
        ({"features": {"DeviceModelName": "x"}}, "camera.features: DeviceModelName: 'x': the camera refuses it "),
    ],
)
def test_what_the_camera_refuses_is_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{URI}: {message}") as raised, opened(**settings):
        pass
    assert "\n" not in str(raised.value)


def test_other_features_are_set_by_name() -> None:
    """YAML reads Off as false."""
    given = {"ReverseX": True, "TestImageSelector": "Testimage1", "ExposureAuto": False, "DeviceUserID": "left"}
    with opened(features=given) as source:
        first(source)


def test_a_software_trigger_takes_an_image_whenever_a_frame_is_wanted() -> None:
    with opened(trigger="software") as source:
        frames = first(source, 3)
        assert source.poll(0, 0) == []
    assert [dict(frame.headers)["genicam_frame_id"] for frame in frames] == [b"0", b"1", b"2"]


def test_without_a_hardware_trigger_nothing_comes_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "SILENT_SECONDS", 0.0)
    with opened(trigger="hardware", trigger_line="Line1") as source:
        assert source.poll(1, 0.2) == []
        assert source.ready


def test_a_camera_that_runs_freely_and_sends_nothing_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(source_module, "SILENT_SECONDS", 0.0)
    with opened(features={"TriggerMode": "On", "TriggerSource": "Line1"}) as source:
        frames_until(source, lambda _: "the camera has sent nothing for 0 s; trying again" in caplog.text)


def test_two_cameras_of_one_host_by_their_serial_numbers() -> None:
    with opened(f"pylon:{EMULATED[0]}") as one, opened(f"pylon:{EMULATED[1]}", pixel_format="Mono12") as other:
        assert read_header(first(one)[0].data).depth == 8
        frame = first(other)[0]
        assert read_header(frame.data).depth == 16
        assert frame.camera == EMULATED[1]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pylon:0815-9999", "pylon:0815-9999: no such camera; found: 0815-0000, 0815-0001"),
        ("pylon:", "pylon:: there are 2 cameras; give the serial number of one of them: 0815-0000, 0815-0001"),
    ],
)
def test_a_camera_that_is_not_there_is_one_line(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message), opened(uri):
        pass


def test_images_that_are_not_whole_and_a_camera_that_is_unplugged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_SECONDS", 0.05)
    devices: list[PylonDevice] = []
    metrics = Metrics()

    def open_device() -> PylonDevice:
        devices.append(PylonDevice(EMULATED[0]))
        return devices[-1]

    settings = CameraSettings(region=SMALL)
    source = LiveSource(
        lambda: IndustrialCamera(open_device(), URI, settings), URI, "left", wait=True, metrics=metrics, in_hand=1000
    )
    try:
        with caplog.at_level(logging.INFO):
            first(source)
            devices[0].features.set("ForceFailedBufferCount", 2)
            devices[0].features.execute("ForceFailedBuffer")
            frames = frames_until(source, lambda frames: sum(frame.rejection is not None for frame in frames) == 2)
            damaged = [frame for frame in frames if frame.rejection is not None]
            assert {frame.data for frame in damaged} == {b""}  # no picture of what came
            assert {frame.rejection.reason for frame in damaged} == {"undecodable"}
            assert "did not arrive whole: The buffer was incompletely grabbed" in damaged[0].rejection.detail
            devices[0].features.execute("FirePnPCallback")  # as if it were unplugged
            frames_until(source, lambda _: not source.ready)
            assert metrics.registry.get_sample_value("andon_source_up") == 0
            assert metrics.registry.get_sample_value("andon_source_outages_total") == 1
            after = first(source)
            assert len(devices) == 2
            assert after[0].position.cluster == frames[0].position.cluster
            assert after[0].position.offset > frames[-1].position.offset
            assert metrics.registry.get_sample_value("andon_source_up") == 1
            assert "the camera was unplugged, or does not answer; trying again" in caplog.text
            assert "back after" in caplog.text
    finally:
        source.close()


def test_a_program_that_finds_no_camera_ends_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "andon_monitor", "record", "--source", "pylon:9", "-o", str(tmp_path / "a.mcap")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.strip()) == (
        2,
        f"error: pylon:9: no such camera; found: {', '.join(EMULATED)}",
    )
    assert list(tmp_path.iterdir()) == []


def test_settings_that_a_waiting_monitor_cannot_use_end_it() -> None:
    source = open_source(URI, industrial=CameraSettings(exposure=1e15), wait=True, metrics=Metrics())
    with pytest.raises(UsageError, match=r"camera\.exposure"):
        frames_until(source, lambda frames: len(frames) > 0)
    source.close()
