"""GenICam cameras of all makers, on Aravis' fake one: GigE Vision over the loopback."""

import logging
import subprocess
import sys
import time

import pytest
from andon_monitor.errors import InstallationError, UsageError
from andon_monitor.image_files.decoding import read_header
from andon_monitor.settings.groups import CameraSettings
from andon_monitor.sources import live
from andon_monitor.sources.base import Source
from andon_monitor.sources.industrial import aravis_library
from andon_monitor.sources.industrial.aravis import AravisDevice
from andon_monitor.sources.industrial.features import apply_settings
from andon_monitor.sources.uri import open_source
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.industrial_cameras import FakeCamera
from tests.fixtures.live_frames import frames_until

SMALL = (16, 8, 64, 48)


def opened_when_there(settings: CameraSettings, metrics: Metrics | None = None) -> Source:
    source = open_source(FakeCamera.uri, industrial=settings, wait=True, metrics=metrics or Metrics())
    frames_until(source, lambda _: source.ready)
    return source


def test_a_camera_is_waited_for_used_by_one_program_and_waited_for_again(
    fake: FakeCamera, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_SECONDS", 0.05)
    metrics = Metrics()
    settings = CameraSettings(region=SMALL, pixel_format="Mono16", exposure=5000, gain=1, frame_rate=50, trigger="off")
    with caplog.at_level(logging.INFO):
        source = open_source(fake.uri, "left", industrial=settings, wait=True, metrics=metrics)
        frames_until(source, lambda _: "no camera found; trying again" in caplog.text)
        fake.on()
        frames = frames_until(source, lambda frames: len(frames) >= 3)
        header = read_header(frames[0].data)
        assert (header.width, header.height, header.levels) == (64, 48, 65535)
        facts = dict(frames[0].headers)
        assert facts["genicam_pixel_format"] == b"Mono16"
        assert int(dict(frames[1].headers)["genicam_frame_id"]) > int(facts["genicam_frame_id"])
        assert float(facts["genicam_timestamp"]) == pytest.approx(time.time(), abs=600)  # the fake camera has our time
        assert all(time.time() - 300 < frame.captured_at <= time.time() for frame in frames)
        other = subprocess.run(
            [sys.executable, "-m", "andon_monitor", "record", "--source", fake.uri, "-o", "/dev/null/x.mcap"],
            capture_output=True,
            text=True,
        )
        assert other.returncode == 2
        assert other.stderr.strip().endswith(f"{fake.uri}: another program uses this camera; stop it")
        fake.off()
        frames_until(source, lambda _: not source.ready)
        assert metrics.registry.get_sample_value("andon_source_up") == 0
        fake.on()
        after = frames_until(source, lambda frames: len(frames) >= 2)
        source.close()
    assert metrics.registry.get_sample_value("andon_source_up") == 1
    assert after[0].position.cluster == frames[0].position.cluster
    assert "the camera was unplugged, or does not answer; trying again" in caplog.text
    assert "back after" in caplog.text


def test_lost_packets_are_counted_and_what_they_leave_is_no_picture(fake: FakeCamera) -> None:
    fake.on(lost_per_thousand=300)
    metrics = Metrics()
    source = opened_when_there(CameraSettings(region=(0, 0, 512, 512)), metrics)
    frames = frames_until(source, lambda frames: len(frames) >= 3)
    source.close()
    assert {frame.data for frame in frames} == {b""}
    assert {(frame.rejection.reason, frame.rejection.detail) for frame in frames} == {
        ("undecodable", "the image did not arrive whole: packets are missing")
    }
    assert metrics.registry.get_sample_value("andon_source_lost_packets_total") > 0


def test_what_the_camera_refuses_is_one_line(fake: FakeCamera) -> None:
    """And a trigger by software, colour, a serial number that nobody has."""
    fake.on()
    opened_when_there(CameraSettings(region=SMALL)).close()
    device = AravisDevice(fake.serial)
    for settings, message in (
        ({"pixel_format": "Mono12"}, "camera.pixel_format: 'Mono12' should be one of BayerBG8, "),
        ({"exposure": 1e15}, r"camera.exposure: 1e\+15 should be 10 to 1e\+07, says the camera"),
        ({"region": (0, 0, 64, 100_000)}, "camera.region: Height: 100000 should be 1 to 2048, says the camera"),
        ({"trigger": "hardware"}, "camera.trigger_line: 'Line1' should be one of Line0, Software"),
        ({"chunks": ("ExposureTime",)}, "camera.chunks: ExposureTime: this camera sends no chunk data"),
        ({"features": {"Nope": 1}}, "camera.features: Nope: 1: this camera has no feature Nope"),
        ({"features": {"TriggerSoftware": 1}}, "camera.features: TriggerSoftware: 1 should be true, to execute it"),
    ):
        with pytest.raises(UsageError, match=message):
            apply_settings(device.features, CameraSettings(**settings))
    device.close()
    with pytest.raises(UsageError, match="genicam:X1: no such camera; found: FAKE01"):
        open_source("genicam:X1")
    settings = CameraSettings(region=SMALL, trigger="software", pixel_format="BayerRG8")
    source = open_source("genicam:", industrial=settings)
    frame = frames_until(source, lambda frames: len(frames) > 0)[0]
    source.close()
    assert read_header(frame.data).channels == 3
    assert frame.camera == "genicam:"


def test_without_aravis_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aravis_library, "LIBRARY", "nothing-0.8")
    monkeypatch.setattr(aravis_library, "FILE", "libnothing-0.8.so.0")
    aravis_library.load_library.cache_clear()
    with pytest.raises(InstallationError, match=r"^genicam: needs Aravis 0\.8; .* apt install libaravis-0\.8-0"):
        open_source("genicam:1")
    aravis_library.load_library.cache_clear()
