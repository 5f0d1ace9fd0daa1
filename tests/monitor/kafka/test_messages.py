"""Every record makes a frame; a frame that is sent and read is the same."""

from typing import Any

import pytest
from andon_monitor.kafka.messages import frame_message, read_frame
from andon_monitor.kafka.records import Record

from tests.fixtures.small_model import START, draw, encode, make_frame


def record(**changes: Any) -> Record:
    fields: dict[str, Any] = {
        "topic": "t",
        "partition": 3,
        "offset": 7,
        "key": b"left",
        "value": b"x",
        "headers": (),
        "timestamp": 1500,
    }
    return Record(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "camera", "captured_at"),
    [
        ({}, "left", 1.5),
        ({"key": None}, "t-3", 1.5),
        ({"key": b""}, "t-3", 1.5),
        ({"key": b"\xff"}, "\ufffd", 1.5),
        ({"headers": (("ce_time", b"2026-01-05T06:00:00.250Z"),)}, "left", START + 0.25),
        ({"headers": (("ce_time", b"yesterday"),)}, "left", 1.5),
        ({"headers": (("ce_time", b"\xff"),)}, "left", 1.5),
        ({"headers": (("ce_time", b""),)}, "left", 1.5),
        ({"timestamp": -1}, "left", 0.0),
        ({"timestamp": 2**62}, "left", 0.0),
        ({"value": None, "headers": ()}, "left", 1.5),
    ],
)
def test_any_record_makes_a_frame(changes: dict[str, Any], camera: str, captured_at: float) -> None:
    frame = read_frame(record(**changes), "cluster", None)
    assert (frame.camera, frame.captured_at) == (camera, captured_at)
    assert frame.position.offset == 7


def test_a_frame_that_was_published_is_read_as_it_was() -> None:
    sent = make_frame(encode(draw(1)), offset=3)
    message = frame_message(sent, "t", "id-1")
    read = read_frame(record(**{name: getattr(message, name) for name in ("key", "value", "headers")}), "c", None)
    assert (read.camera, read.captured_at, read.data) == (sent.camera, sent.captured_at, sent.data)
