"""A frame that is sent and read is the same; a verdict hands on where its frame is in a trace."""

from typing import Any

import pytest
from andon_monitor.inspection.frames import Verdict
from andon_monitor.inspection.part import Part
from andon_monitor.kafka.events import read_frames
from andon_monitor.kafka.messages import Message, frame_message, verdict_message
from andon_monitor.kafka.records import Record

from tests.fixtures.small_model import draw, encode, make_frame

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record_of(message: Message) -> Record:
    """As the broker would give it back."""
    return Record("t", 3, 7, message.timestamp_ms, message.key, message.value, message.headers)


def test_a_frame_that_was_published_is_read_as_it_was() -> None:
    part = Part("4711", "cover", "A-17", "press-2", "top", 123456, (("batch", "7"),))
    sent = make_frame(encode(draw(1)), offset=3, part=part)
    (read,) = read_frames(record_of(frame_message(sent, "t", "id-1")), "c", None, {})
    assert (read.camera, read.captured_at, read.data) == (sent.camera, sent.captured_at, sent.data)
    assert (read.part, read.cuts) == (part, ())


@pytest.mark.parametrize(
    ("headers", "handed_on"),
    [
        ((("ce_traceparent", PARENT), ("ce_tracestate", b"a=1")), ["ce_traceparent", "ce_tracestate"]),
        ((("traceparent", PARENT),), ["traceparent"]),
        ((("traceparent", PARENT + b"\n"), ("tracestate", b"x" * 513), ("baggage", b"x")), []),
        ((("traceparent", PARENT.upper()), ("ce_tracestate", "ä=1".encode())), []),
    ],
)
def test_a_verdict_hands_the_trace_on(headers: Any, handed_on: list[str]) -> None:
    frame = make_frame(b"x", headers=headers)
    verdict = Verdict("0" * 32, "c", 0.0, "good", "m", "0" * 64, 2.0, frame.position)
    sent = dict(verdict_message(verdict, frame, "t").headers)
    assert [name for name in sent if name.removeprefix("ce_").startswith(("trace", "baggage"))] == handed_on
    assert all(sent[name] == dict(headers)[name] for name in handed_on)
