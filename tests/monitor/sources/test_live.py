"""A camera that is faster than the monitor, and whose clock does what it wants."""

import threading

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame
from andon_monitor.sources.capture_time import CaptureTimes
from andon_monitor.sources.live import CameraLost, LiveSource, Shot
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.kafka_line import PATIENCE


class Turntable:
    """A camera that takes a picture whenever the test says so."""

    steps_back = 0

    def __init__(self) -> None:
        self._asked = 0
        self._given = 0
        self._changed = threading.Condition()
        self._turns = threading.Semaphore(0)

    def read(self) -> list[Shot]:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
        if not self._turns.acquire(timeout=PATIENCE):
            raise CameraLost("no picture")
        self._given += 1
        return [Shot(b"%d" % self._given, float(self._given), "arrival")]

    def turn(self, times: int) -> None:
        """Take pictures, and wait until the source has them all: then it asks for the next one."""
        with self._changed:
            wanted = self._asked if self._asked else 1
            self._turns.release(times)
            assert self._changed.wait_for(lambda: self._asked >= wanted + times, PATIENCE)

    def close(self) -> None:
        self._turns.release()


def numbers(frames: list[Frame] | None) -> list[int]:
    assert frames is not None
    return [int(frame.data) for frame in frames]


def test_where_the_camera_is_faster_the_newest_frame_counts_and_the_others_are_counted() -> None:
    camera, metrics = Turntable(), Metrics()
    source = LiveSource(lambda: camera, "camera:0", "c", metrics=metrics, in_hand=3)
    camera.turn(2)
    first = source.poll(8, PATIENCE)
    assert numbers(first) == [1, 2]  # a burst is no reason to drop
    camera.turn(1)
    second = source.poll(8, PATIENCE)
    assert numbers(second) == [3]
    camera.turn(3)
    assert source.poll(8, 0) == []  # as many are in hand as may be
    assert first is not None
    source.acknowledge(first)
    assert numbers(source.poll(8, PATIENCE)) == [6]
    assert source.dropped == 2
    assert metrics.registry.get_sample_value("andon_source_dropped_frames_total") == 2
    camera.close()
    source.close()


def test_where_every_picture_counts_the_camera_waits_for_the_monitor() -> None:
    camera = Turntable()
    source = LiveSource(lambda: camera, "camera:0", "c", in_hand=1, every_picture=2)
    camera.turn(2)
    first = source.poll(8, PATIENCE)
    assert numbers(first) == [1]
    assert first is not None
    camera.turn(1)
    assert source.poll(8, 0) == []
    for number in (2, 3):
        source.acknowledge(first)
        first = source.poll(8, PATIENCE)
        assert numbers(first) == [number]
        assert first is not None
    assert source.dropped == 0
    camera.close()
    source.close()


@pytest.mark.parametrize("wait", [True, False])
def test_what_no_waiting_would_mend_is_raised(wait: bool) -> None:
    def refuse() -> Turntable:
        raise UsageError("camera.gain: 99 should be 0 to 48")

    with pytest.raises(UsageError, match=r"^genicam:1: camera\.gain: 99 should be 0 to 48$"):
        LiveSource(refuse, "genicam:1", "c", wait=wait).poll(1, PATIENCE)


def test_a_sender_report_counts_where_the_camera_s_clock_is_right() -> None:
    times = CaptureTimes()
    assert times.time_of(1000.3, 5.0, None) == (1000.3, "stream")
    assert times.time_of(1001.2, 6.0, 1001.0) == (1001.0, "sender_report")
    assert times.time_of(1060.0, 7.0, 1002.0) == (1002.0, "sender_report")  # held up for a minute
    assert times.steps_back == 0
    assert not times.is_clock_wrong


@pytest.mark.parametrize("error", [-3600.0, 3600.0, -1.7e9])
def test_a_camera_whose_clock_is_wrong_still_tells_intervals(error: float) -> None:
    times = CaptureTimes()
    start = 1_700_000_000.0
    assert times.time_of(start + 0.1, 5.0, start + error)[0] == pytest.approx(start + 0.1)
    captured_at, source = times.time_of(start + 5.0, 6.0, start + 1 + error)
    assert captured_at == pytest.approx(start + 1.1, abs=0.01)
    assert source == "stream"
    assert times.is_clock_wrong


def test_time_that_goes_backwards_is_counted_and_the_arrival_counts_once() -> None:
    times = CaptureTimes()
    times.time_of(1000.0, 50.0, None)
    times.time_of(1001.0, 51.0, None)
    assert times.time_of(1002.0, 52.0, 1000.5) == (1000.5, "sender_report")  # another clock is no step back
    assert times.time_of(1003.0, 53.0, 999.0) == (1003.0, "arrival")
    assert times.steps_back == 1
    assert times.time_of(1004.0, 54.0, 1003.5) == (1003.5, "sender_report")
    assert times.steps_back == 1


def test_without_any_times_the_arrival_counts() -> None:
    assert CaptureTimes().time_of(1000.0, None, None) == (1000.0, "arrival")
