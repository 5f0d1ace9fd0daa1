"""GenICam cameras through a GenTL producer: the simulated one that comes with the package genicam."""

import sys
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import InstallationError, UsageError
from andon_monitor.image_files.decoding import decode_values, read_header
from andon_monitor.settings.groups import CameraSettings
from andon_monitor.sources.base import Source
from andon_monitor.sources.uri import open_source

from tests.fixtures.components import skip_or_fail
from tests.fixtures.live_frames import frames_until

URI = "genicam:1"


@pytest.fixture(scope="module")
def producer() -> Path:
    """Viky: three cameras, each a game with a ball, without time stamps."""
    try:
        import genicam
        import harvesters.core  # noqa: F401
    except ImportError:
        skip_or_fail("harvesters is not installed (andon[gentl])")
    return Path(genicam.__file__).parent / "viky.cti"


def opened(producer: Path, uri: str = URI, **settings: Any) -> Source:
    return open_source(uri, industrial=CameraSettings(producer=producer, **settings), in_hand=1000)


def test_images_chunk_data_and_settings(producer: Path) -> None:
    size = {"Width": 200, "Height": 120}
    source = opened(
        producer.parent,
        pixel_format="Mono8",
        chunks=("NrBounces",),
        frame_rate=50,
        features=size,
    )
    frames = frames_until(source, lambda frames: len(frames) >= 3)
    source.close()
    assert [frame.rejection for frame in frames] == [None] * len(frames)
    header = read_header(frames[0].data)
    assert (header.width, header.height, header.channels, header.levels) == (200, 120, 1, 255)
    assert decode_values(frames[0].data).max() > 0
    first, second = (dict(frame.headers) for frame in frames[:2])
    assert int(second["genicam_frame_id"]) == int(first["genicam_frame_id"]) + 1
    assert first["genicam_nr_bounces"].isdigit()  # chunk data
    assert frames[0].camera == "1"
    source = opened(producer, "genicam:VikyTL_DEV_red", features={"ChunkModeActive": False})
    assert read_header(frames_until(source, lambda frames: len(frames) > 0)[0].data).channels == 3  # RGBa8
    source.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pixel_format": "Mono12"}, "camera.pixel_format: 'Mono12' should be one of RGBa8, Mono8"),
        ({"frame_rate": 1e9}, r"camera.frame_rate: 1e\+09 should be .* to 200, says the camera"),
        ({"trigger": "hardware"}, "camera.trigger: hardware: this camera has no trigger"),
        ({"exposure": 100}, "camera.exposure: 100.0: this camera has no feature ExposureTime"),
        ({"chunks": ("Nope",)}, "camera.chunks: 'Nope' should be one of NrBounces, Scan3dData"),
    ],
)
def test_what_the_camera_refuses_is_one_line(producer: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{URI}: {message}"):
        opened(producer, **settings)


def test_cameras_and_producers_that_are_not_there_are_one_line(producer: Path, tmp_path: Path) -> None:
    (tmp_path / "no.cti").write_bytes(b"no library")
    for uri, path, message in (
        ("genicam:9", producer, "genicam:9: no such camera; found: 0, 1, 2"),
        ("genicam:", producer, "there are 3 cameras; give the serial number of one of them: 0, 1, 2"),
        (URI, tmp_path / "x.cti", "genicam:1: camera.producer: .*x.cti: no GenTL producer"),
        (URI, tmp_path / "no.cti", "genicam:1: camera.producer: .*no.cti: not a GenTL producer"),
        ("pylon:1", producer, "pylon:1: camera.producer: .*viky.cti: pylon needs none; give genicam:1"),
    ):
        with pytest.raises(UsageError, match=message):
            opened(path, uri)


def test_without_harvesters_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "harvesters", None)
    with pytest.raises(InstallationError, match=r"^camera.producer: needs harvesters .*; install andon\[gentl\]"):
        opened(tmp_path / "any.cti")
