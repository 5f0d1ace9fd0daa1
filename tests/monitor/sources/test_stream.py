"""Network cameras against a real RTSP server, over a network that loses packets, stalls and breaks."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame
from andon_monitor.settings.groups import SourceSettings
from andon_monitor.sources import live
from andon_monitor.sources.base import Source
from andon_monitor.sources.uri import open_source
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.keys import make_keys
from tests.fixtures.live_frames import frames_until
from tests.fixtures.rtsp_link import RtspLink
from tests.fixtures.rtsp_server import RtspCamera, read_clock, rtsp_camera

# Between what a picture shows and its capture time: the camera's clock is the machine's. A loaded machine stamps late,
# and without the camera's clock the shortest time on the way remains.
MAX_ERROR_SECONDS = {"sender_report": 1.0, "stream": 10.0, "arrival": 10.0}


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspCamera]:
    with rtsp_camera() as started:
        yield started


@pytest.fixture
def link(camera: RtspCamera) -> Iterator[RtspLink]:
    link = RtspLink(camera.port)
    yield link
    link.close()


@contextmanager
def watching(link: RtspLink, metrics: Metrics | None = None, **settings: object) -> Iterator[Source]:
    chosen = SourceSettings(**{"timeout": 60, **settings})
    address = f"rtsp://user:hidden@127.0.0.1:{link.port}/live"
    source = open_source(address, "c", settings=chosen, wait=True, metrics=metrics)
    try:
        yield source
    finally:
        source.close()


def check(frames: list[Frame]) -> None:
    """Every picture that is not refused is one moment, that of its capture time."""
    for frame in frames:
        if frame.rejection is None:
            shown = read_clock(frame.data)
            assert shown is not None
            assert abs(frame.captured_at - shown) < MAX_ERROR_SECONDS[frame.time_source]
        else:
            assert frame.rejection.reason == "undecodable"


def is_good(frame: Frame) -> bool:
    return frame.rejection is None


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_lost_packets_make_uninspectable_frames_and_no_smeared_ones(link: RtspLink, transport: str) -> None:
    with watching(link, transport=transport) as source:
        whole = frames_until(source, lambda frames: any(frame.time_source == "sender_report" for frame in frames))
        check(whole)
        assert {frame.time_source for frame in whole[1:]} <= {"stream", "sender_report"}  # FFmpeg's first has no time
        assert all(map(is_good, whole))
        link.loss = 0.2
        damaged = frames_until(source, lambda frames: sum(not is_good(frame) for frame in frames) >= 10)
        link.loss = 0.0
        check(damaged)
        assert link.lost > 0
        healed = frames_until(source, lambda frames: sum(map(is_good, frames[-5:])) == 5)
        check(healed)


def test_a_stall_and_a_reboot_are_waited_out(
    link: RtspLink, camera: RtspCamera, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_SECONDS", 0.05)
    metrics = Metrics()

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(name)

    with caplog.at_level(logging.INFO), watching(link, metrics, timeout=2) as source:
        frames = frames_until(source, lambda frames: len(frames) > 3)
        link.flowing.clear()
        frames += frames_until(source, lambda _: value("andon_source_up") == 0)
        assert not source.ready
        link.flowing.set()
        frames += frames_until(source, lambda _: value("andon_source_up") == 1)
        frames += frames_until(source, lambda frames: len(frames) > 3)
        camera.stop()
        frames += frames_until(source, lambda _: value("andon_source_up") == 0)
        camera.start()
        # Frames of before the reboot may still wait.
        frames += frames_until(source, lambda _: value("andon_source_up") == 1)
        frames += frames_until(source, lambda frames: len(frames) > 3)
        link.cut()
        frames += frames_until(source, lambda _: (value("andon_source_outages_total") or 0) >= 3)
        frames += frames_until(source, lambda frames: len(frames) > 3)
    check(frames)
    assert [frame.position.offset for frame in frames] == list(range(len(frames)))
    assert "no answer within 2 s; trying again" in caplog.text
    assert "back after" in caplog.text
    assert "hidden" not in caplog.text
    assert "hidden" not in str([frame.position for frame in frames])


def test_frames_that_were_held_up_on_their_way_keep_the_time_of_their_capture(link: RtspLink) -> None:
    with watching(link) as source:
        frames = frames_until(source, lambda frames: any(frame.time_source == "sender_report" for frame in frames))
        link.flowing.clear()
        stalled = time.monotonic()
        frames_until(source, lambda _: time.monotonic() - stalled > 3)
        link.flowing.set()
        (late,) = frames_until(source, lambda frames: len(frames) == 1)[:1]
        assert time.time() - late.captured_at > 1
        check([*frames, late])


def test_pictures_of_motion_jpeg_are_taken_as_they_are() -> None:
    with rtsp_camera("jpeg") as camera:
        link = RtspLink(camera.port)
        try:
            with watching(link) as source:
                frames = frames_until(source, lambda frames: len(frames) > 3)
                link.loss = 0.3
                frames += frames_until(source, lambda frames: not all(map(is_good, frames)))
        finally:
            link.close()
        check(frames)
        assert all(frame.data.startswith(b"\xff\xd8\xff") for frame in frames if is_good(frame))


def test_an_encrypted_stream_in_h265_with_a_login_is_read_and_no_password_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = make_keys(tmp_path)
    both, authority = tmp_path / "camera.pem", keys / "good.pem"
    both.write_text(authority.read_text() + (keys / "good.key").read_text())
    with (
        caplog.at_level(logging.DEBUG),
        rtsp_camera("h265", 10, None, "--tls", str(both), "--digest", "u:hidden") as camera,
    ):
        address = f"127.0.0.1:{camera.port}/live"

        def frames(password: str, authority: Path | None, scheme: str = "rtsps") -> list[Frame]:
            settings = SourceSettings(timeout=60, ca_file=authority)
            with closing(open_source(f"{scheme}://u:{password}@{address}", "c", settings=settings)) as source:
                return frames_until(source, lambda frames: len(frames) > 3)

        check(frames("hidden", None))
        taken = frames("hidden", authority)
        check(taken)
        assert all(map(is_good, taken))
        for password, file, scheme, message in (
            ("hidden!", None, "rtsps", "the camera refuses this user or password"),
            ("hidden", keys / "secret.pem", "rtsps", "its certificate is not one that source.ca_file proves"),
            ("hidden", authority, "rtsp", "source.ca_file is only for rtsps:// and https://"),
        ):
            with pytest.raises(UsageError) as raised:
                frames(password, file, scheme)
            assert str(raised.value) == f"{scheme}://{address}: {message}"
        with pytest.raises(UsageError, match=r"source\.ca_file .*none\.pem: no such file"):
            frames("hidden", tmp_path / "none.pem")
    said = capfd.readouterr()
    assert "hidden" not in caplog.text + said.out + said.err


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("401 Unauthorized", "the camera refuses this user or password"),
        ("404 Not Found", "the camera has no stream of this name"),
    ],
)
def test_a_camera_that_refuses_is_named_without_the_password(
    answer: str, message: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            while True:
                try:
                    viewer, _ = server.accept()
                except OSError:
                    return
                with viewer:
                    while request := viewer.recv(4096).decode():
                        number = request.split("CSeq: ")[1].split("\r\n")[0]
                        extra = 'WWW-Authenticate: Basic realm="c"\r\n' if answer.startswith("401") else ""
                        viewer.sendall(f"RTSP/1.0 {answer}\r\nCSeq: {number}\r\n{extra}\r\n".encode())

        threading.Thread(target=refuse, daemon=True).start()
        port = server.getsockname()[1]
        with caplog.at_level(logging.DEBUG), pytest.raises(UsageError) as raised:
            open_source(f"rtsp://user:hidden@127.0.0.1:{port}/live")
        assert str(raised.value) == f"rtsp://127.0.0.1:{port}/live: {message}"
        server.shutdown(socket.SHUT_RDWR)
    said = capfd.readouterr()
    assert "hidden" not in caplog.text + said.out + said.err
