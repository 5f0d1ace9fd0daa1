"""A camera that goes away is waited for, at the start and later."""

import logging
import math
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.sources import live
from andon_monitor.sources.uri import open_source
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.live_frames import frames_until
from tests.fixtures.network_camera import SHOWN, MotionJpeg, ReusableServer


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def start(port: int) -> Iterator[Callable[[], ReusableServer]]:
    servers: list[ReusableServer] = []

    def begin() -> ReusableServer:
        server = ReusableServer(("127.0.0.1", port), MotionJpeg)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def value(metrics: Metrics, name: str) -> float:
    found = metrics.registry.get_sample_value(name)
    assert found is not None
    return found


def test_a_camera_is_waited_for_from_the_start_and_each_time_it_goes_away(
    start: Callable[[], ReusableServer], port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FIRST_PAUSE_SECONDS", 0.05)
    metrics = Metrics()
    assert math.isnan(value(metrics, "andon_source_up"))
    address = f"http://user:hidden@127.0.0.1:{port}/v?token=hidden"
    with caplog.at_level(logging.INFO):
        source = open_source(address, "c", wait=True, metrics=metrics)
        frames_until(source, lambda _: value(metrics, "andon_source_up") == 0)
        assert not source.ready
        server = start()
        frames = frames_until(source, lambda frames: len(frames) > 2 * SHOWN)
        frames += frames_until(source, lambda _: value(metrics, "andon_source_up") == 1)
        frames += frames_until(source, lambda _: value(metrics, "andon_source_outages_total") >= 3)
        frames += frames_until(source, lambda _: source.ready)
        server.shutdown()
        server.server_close()
        frames += frames_until(source, lambda _: value(metrics, "andon_source_up") == 0)
        start()
        frames += frames_until(source, lambda frames: len(frames) > 0)
        source.close()
    assert [frame.position.offset for frame in frames] == list(range(len(frames)))
    assert len({frame.position.cluster for frame in frames}) == 1
    assert f"http://127.0.0.1:{port}/v: no camera answers at this address; trying again" in caplog.text
    assert "the camera sends no more frames; trying again" in caplog.text
    assert "back after" in caplog.text
    assert "hidden" not in caplog.text
    assert "hidden" not in str([frame.position for frame in frames])


def test_a_camera_that_is_not_waited_for_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match="no camera answers at this address"):
        open_source(f"http://127.0.0.1:{port}/v")


@pytest.mark.parametrize("number", ["x", "-1", "\u0661", "9" * 30])
def test_what_is_no_number_of_a_camera_is_refused(number: str) -> None:
    with pytest.raises(UsageError, match="not a number of a camera"):
        open_source(f"camera:{number}")
