"""Every record makes frames, in whatever mode its events are, and whatever is wrong with them."""

import base64
import json
import tracemalloc
from typing import Any

import pytest
from andon_monitor.inspection.frames import Frame, verdict_id
from andon_monitor.inspection.part import MAX_OTHER, Part
from andon_monitor.kafka.events import read_frames
from andon_monitor.kafka.records import Record

from tests.fixtures.small_model import START

STRUCTURED, BATCHED = b"application/cloudevents+json; charset=UTF-8", b"application/cloudevents-batch+json"
EVENT = {
    "specversion": "1.0",
    "id": "7",
    "source": "/press/2",
    "type": "andon.frame",
    "time": "2026-01-05T06:00:00.250Z",
    "datacontenttype": "image/png",
    "data_base64": base64.b64encode(b"image").decode(),
    "part": "4711",
    "product": "cover",
    "encoder": 123456,
    "rework": True,
}


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
    (frame,) = read_frames(record(**changes), "cluster", None, {})
    assert (frame.camera, frame.captured_at) == (camera, captured_at)
    assert frame.position.offset == 7


def read(value: Any, content_type: bytes, *headers: tuple[str, bytes], **changes: Any) -> list[Frame]:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    sent = record(value=content, headers=(("content-type", content_type), *headers), **changes)
    return read_frames(sent, "cluster", None, {"shift": "shift"})


def test_an_event_makes_the_same_frame_in_every_mode() -> None:
    named = {name: value for name, value in EVENT.items() if name not in ("data_base64", "datacontenttype", "rework")}
    binary = [("content-type", b"image/png"), *((f"ce_{name}", str(value).encode()) for name, value in named.items())]
    sent = record(value=b"image", headers=(*binary, ("ce_rework", b"true"), ("shift", b"night")))
    (expected,) = read_frames(sent, "cluster", None, {"shift": "shift"})
    assert expected.part == Part("4711", "cover", encoder=123456, other=(("rework", "true"), ("shift", "night")))
    (structured,) = read(EVENT, STRUCTURED, ("shift", b"night"))
    assert sorted(structured.headers) == sorted(expected.headers)
    assert (structured.data, structured.part, structured.captured_at) == (b"image", expected.part, START + 0.25)
    batch = read([EVENT, EVENT | {"subject": "right"}, EVENT], BATCHED)
    assert [frame.camera for frame in batch] == ["left", "right", "left"]
    assert [frame.more for frame in batch] == [True, True, False]
    assert len({verdict_id(frame.position, "") for frame in [expected, *batch]}) == 4
    assert {frame.position.offset for frame in batch} == {7}


@pytest.mark.parametrize(
    ("value", "content_type", "said"),
    [
        (b"", STRUCTURED, "Expecting value"),
        (b"\xff\xd8\xff", STRUCTURED, "codec can't decode"),
        (b"[" * 3000, STRUCTURED, "too deep to read"),
        (b"[" * 10**6, BATCHED, "more than 4000 objects and lists"),
        (b"[" + b"{}," * 10**6 + b"{}]", BATCHED, "more than 4000 objects and lists"),
        (b"[" + b"1," * 10**6 + b"1]", BATCHED, "or 100000 values"),
        (b'{"a": ' + b"9" * 5000 + b"}", STRUCTURED, "Exceeds the limit"),
        (EVENT, BATCHED, "a batch of events is a list"),
        ([], BATCHED, "a batch of 0 events; right are 1 to 1000"),
        ([{}] * 1001, BATCHED, "a batch of 1001 events"),
        ([[EVENT]], BATCHED, "an event is an object"),
        ([EVENT], STRUCTURED, "an event is an object"),
        ({"data": "image"}, STRUCTURED, "no data_base64 with the image"),
        (EVENT | {"data_base64": "aW1h!Z2U="}, STRUCTURED, "data_base64 is damaged: Only base64 data is allowed"),
        (EVENT | {"data_base64": "aW1hZ2U"}, STRUCTURED, "data_base64 is damaged: Incorrect padding"),
        (EVENT | {"data_base64": "ä"}, STRUCTURED, "data_base64 is damaged"),
    ],
)
def test_an_event_that_cannot_be_read_is_malformed_and_kept(value: Any, content_type: bytes, said: str) -> None:
    (frame,) = read(value, content_type, ("own", b"x"))
    assert frame.rejection is not None
    assert frame.rejection.reason == "malformed"
    assert said in frame.rejection.detail
    assert dict(frame.headers)["own"] == b"x"
    if content_type == STRUCTURED:
        assert frame.data == (value if isinstance(value, bytes) else json.dumps(value).encode())


def test_one_bad_event_of_a_batch_leaves_the_others_good() -> None:
    frames = read([EVENT, EVENT | {"data_base64": "?"}, None, EVENT], BATCHED)
    assert [frame.rejection is None for frame in frames] == [True, False, False, True]
    assert json.loads(frames[1].data) == EVENT | {"data_base64": "?"}
    assert (frames[1].more, dict(frames[1].headers)) == (True, {"content-type": STRUCTURED.split(b";")[0]})


def test_attributes_without_number_are_cut_and_counted() -> None:
    (frame,) = read(EVENT | {f"x{i}": i for i in range(5000)} | {"deep": [[]]}, STRUCTURED)
    assert frame.rejection is None
    assert frame.part is not None
    assert len(frame.part.other) == MAX_OTHER
    assert set(frame.cuts) == {"count"}
    assert len(frame.headers) == 1000


def test_a_hostile_batch_takes_little_memory() -> None:
    hostile = b"[" + b",".join([b'{"a":{}}'] * 1900) + b"]" + b" " * 2**22
    tracemalloc.start()
    frames = read(hostile, BATCHED)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(frames) == 1
    assert peak < 5 * len(hostile)
