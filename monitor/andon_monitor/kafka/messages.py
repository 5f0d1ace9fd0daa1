"""The Kafka messages: CloudEvents 1.0 in binary mode, with the value unchanged and attributes as `ce_` headers."""

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kafka import errors as kafka_errors

from andon_monitor.common.times import rfc3339
from andon_monitor.image_files.signatures import detect
from andon_monitor.inspection.frames import Frame, Verdict
from andon_monitor.kafka.records import Headers

FRAME_TYPE = "andon.frame"
VERDICT_TYPE = "andon.verdict"
EVIDENCE_TYPE = "andon.defect"
LABEL_TYPE = "andon.label"
CHANGE_TYPE = "andon.change"
MODEL_TYPE = "andon.model"
PART_TYPE = "andon.part"
UNKNOWN_CONTENT_TYPE = "application/octet-stream"
# Kafka refuses times before 1970, and any sender may have set a frame's time.
MIN_TIMESTAMP_MS = 0
# A longer key is not repeated: with its verdict or evidence it might not fit into the topic.
MAX_KEY_BYTES = 1024
# https://www.w3.org/TR/trace-context/; in CloudEvents these are attributes, elsewhere plain headers.
TRACE_PARENTS, TRACE_STATES = ("ce_traceparent", "traceparent"), ("ce_tracestate", "tracestate")
TRACE_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
TRACE_STATE = re.compile(rb"[\x20-\x7e]{1,512}")
# A dead letter has more headers than its frame, and a package of evidence more files.
HEADROOM_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class Message:
    """A record to send. `timestamp_ms`: the capture time, in milliseconds since 1970.

    `partition` is None where the key decides.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    partition: int | None = None


def frame_message(frame: Frame, topic: str, event_id: str) -> Message:
    """A camera's frame for the topic of frames. It keeps its own headers, except those of an earlier event."""
    attributes = {
        "id": event_id,
        "source": f"/andon/cameras/{frame.camera}",
        "type": FRAME_TYPE,
        "time": rfc3339(frame.captured_at),
        **({} if frame.part is None else frame.part.attributes()),
        **({} if frame.file is None else {"file": frame.file}),
        **({} if frame.time_source is None else {"capturetimesource": frame.time_source}),
    }
    found = detect(frame.data)
    own = tuple((name, value) for name, value in frame.headers if not name.startswith(("ce_", "content-type")))
    return Message(
        topic,
        frame.camera.encode(),
        frame.data,
        _headers(attributes, found.media_type if found else UNKNOWN_CONTENT_TYPE) + own,
        _milliseconds(frame.captured_at),
    )


def recorded_message(frame: Frame, topic: str, now: float | None) -> Message:
    """A recorded frame with the key and headers of its topic. `now`: its new capture time, in seconds since 1970."""
    captured_at, headers = frame.captured_at, frame.headers
    if now is not None:
        stamp = rfc3339(now).encode()
        captured_at, headers = now, tuple((n, stamp if n == "ce_time" else value) for n, value in headers)
    return Message(topic, frame.key, frame.data, headers, _milliseconds(captured_at))


def verdict_message(verdict: Verdict, frame: Frame, topic: str) -> Message:
    """A verdict, with the key of its frame, so that both are partitioned in the same way."""
    return _about(verdict, frame, VERDICT_TYPE, verdict.to_json().encode(), "application/json", topic)


def evidence_message(verdict: Verdict, frame: Frame, data: bytes, topic: str) -> Message:
    """An evidence package (`formats.evidence_package`) with the verdict's id, by which duplicates are recognised."""
    return _about(verdict, frame, EVIDENCE_TYPE, data, "application/zip", topic)


def label_message(event_id: str, camera: str, at: float, value: bytes, topic: str) -> Message:
    """A person's label of a frame as JSON, see `andon_monitor.review.publishing`; `at`: seconds since 1970."""
    attributes = {
        "id": event_id,
        "source": "/andon/review",
        "type": LABEL_TYPE,
        "subject": camera,
        "time": rfc3339(at),
    }
    return Message(topic, camera.encode(), value, _headers(attributes, "application/json"), _milliseconds(at))


def change_message(event_id: str, file: str, at: float, value: bytes, topic: str) -> Message:
    """A step of the history of model files as JSON, see `andon_monitor.review.publishing`."""
    attributes = {"id": event_id, "source": "/andon/review", "type": CHANGE_TYPE, "subject": file, "time": rfc3339(at)}
    return Message(topic, file.encode(), value, _headers(attributes, "application/json"), _milliseconds(at))


def model_message(event_id: str, file: str, at: float, value: bytes, topic: str) -> Message:
    """The content that a model file has to hold as JSON, see `andon_monitor.formats.model_notice`."""
    attributes = {"id": event_id, "source": "/andon/review", "type": MODEL_TYPE, "subject": file, "time": rfc3339(at)}
    return Message(topic, file.encode(), value, _headers(attributes, "application/json"), _milliseconds(at))


def part_message(event_id: str, part: str, at: float, value: bytes, topic: str) -> Message:
    """The verdict of a part as JSON, see `andon_monitor.parts.verdict`; `at`: that of its last view."""
    attributes = {"id": event_id, "source": "/andon/parts", "type": PART_TYPE, "subject": part, "time": rfc3339(at)}
    return Message(topic, part.encode(), value, _headers(attributes, "application/json"), _milliseconds(at))


def dead_letter(frame: Frame, verdict: Verdict, topic: str, limit: int | None = None) -> Message:
    """A frame that could not be inspected, with its bytes, key, headers; `andon_` headers say why, and where from.

    Beyond `limit` bytes it is left at what the `andon_` headers say.
    """
    place = frame.position
    why = {
        "andon_reason": verdict.reason or "",
        "andon_detail": verdict.detail or "",
        "andon_verdict": verdict.id,
        "andon_model": verdict.model_sha256,
        "andon_cluster": place.cluster,
        "andon_topic": place.topic,
        "andon_partition": str(place.partition),
        "andon_offset": str(place.offset),
    }
    if place.topic_id is not None:
        why["andon_topic_id"] = place.topic_id
    if place.event is not None:
        why["andon_event"] = str(place.event)
    if frame.part is not None:
        why["andon_part"] = json.dumps(frame.part.to_dict(), ensure_ascii=False)
    headers = frame.headers + tuple((name, value.encode()) for name, value in why.items())
    letter = Message(topic, frame.key, frame.data, headers, _milliseconds(frame.captured_at))
    return letter if limit is None or _size(letter) <= limit + HEADROOM_BYTES else _shortened(letter)


def adapted(message: Message, error: BaseException) -> Message:
    """The message with what the broker's error says changed: a shorter dead letter, another time; else as it is."""
    if isinstance(error, (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)):
        return _shortened(message)
    if isinstance(error, kafka_errors.InvalidTimestampError):
        return replace(message, timestamp_ms=_milliseconds(time.time()))
    return message


def _shortened(message: Message) -> Message:
    """A dead letter without the frame's bytes and headers; any other message as it is."""
    why = tuple((name, value) for name, value in message.headers if name.startswith("andon_"))
    if not why:
        return message
    left_out = (*why, ("andon_left_out", str(_size(message)).encode())) if message.value else why
    return replace(message, key=_short_key(message.key), value=b"", headers=left_out)


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value) for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers


def _short_key(key: bytes | None) -> bytes | None:
    return None if key is None or len(key) > MAX_KEY_BYTES else key


def _about(verdict: Verdict, frame: Frame, event_type: str, value: bytes, content_type: str, topic: str) -> Message:
    attributes = {
        "id": verdict.id,
        "source": f"/andon/models/{verdict.model}",
        "type": event_type,
        "subject": verdict.camera,
        "time": rfc3339(verdict.captured_at),
    }
    return Message(
        topic,
        _short_key(frame.key) or verdict.camera.encode()[:MAX_KEY_BYTES],
        value,
        _headers(attributes, content_type) + _trace(frame),
        _milliseconds(verdict.captured_at),
    )


def _trace(frame: Frame) -> Headers:
    """The W3C trace context of a frame, under the names that it came with; what is not valid is left out."""
    return tuple(
        (name, value)
        for name, value in frame.headers
        if (name in TRACE_PARENTS and TRACE_PARENT.fullmatch(value))
        or (name in TRACE_STATES and TRACE_STATE.fullmatch(value))
    )


def _headers(attributes: dict[str, str], content_type: str) -> Headers:
    pairs: Iterable[tuple[str, str]] = [("specversion", "1.0"), *attributes.items()]
    events = tuple((f"ce_{name}", value.encode()) for name, value in pairs)
    return (*events, ("content-type", content_type.encode()))


def _milliseconds(seconds: float) -> int:
    """A record's timestamp, not later than now: brokers refuse records from the future."""
    return max(MIN_TIMESTAMP_MS, round(min(seconds, time.time()) * 1000))
