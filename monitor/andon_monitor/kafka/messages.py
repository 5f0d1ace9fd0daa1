"""The Kafka messages: CloudEvents 1.0 in binary mode, with the value unchanged and attributes as `ce_` headers."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from kafka import errors as kafka_errors

from andon_monitor.image_files.signatures import detect
from andon_monitor.inspection.frames import MAX_TIME, MIN_TIME, Frame, Position, Rejection, Verdict, parse_time, rfc3339
from andon_monitor.kafka.records import Headers, Record

FRAME_TYPE = "andon.frame"
VERDICT_TYPE = "andon.verdict"
EVIDENCE_TYPE = "andon.defect"
LABEL_TYPE = "andon.label"
MALFORMED, TOO_LARGE = "malformed", "too_large"  # reasons of verdicts; the latter is also a problem's cause
UNKNOWN_CONTENT_TYPE = "application/octet-stream"
# Kafka refuses times before 1970, and any sender may have set a frame's time.
MIN_TIMESTAMP_MS = 0
# A longer key is not repeated: with its verdict or evidence it might not fit into the topic.
MAX_KEY_BYTES = 1024
# A dead letter has more headers than its frame, and a package of evidence more files.
HEADROOM_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class Message:
    """A record to send. `timestamp_ms`: the capture time, in milliseconds since 1970."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


def frame_message(frame: Frame, topic: str, event_id: str) -> Message:
    """A camera's frame for the topic of frames. It keeps its own headers, except those of an earlier event."""
    attributes = {
        "id": event_id,
        "source": f"/andon/cameras/{frame.camera}",
        "type": FRAME_TYPE,
        "time": rfc3339(frame.captured_at),
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


def read_frame(record: Record, cluster: str, topic_id: str | None) -> Frame:
    """The frame in a record. Never raises: every record makes a frame.

    The camera is the key, without one topic and partition. The capture time is the attribute `time`, without one the
    record's timestamp. A record with a problem makes a frame with one.
    """
    attributes = dict(record.headers)
    problem = record.problem
    camera = (record.key or b"").decode(errors="replace") or f"{record.topic}-{record.partition}"
    return Frame.of(
        record.value or b"",
        Position(cluster, record.topic, record.partition, record.offset, topic_id),
        camera,
        _captured_at(attributes.get("ce_time"), record.timestamp),
        key=record.key,
        headers=record.headers,
        rejection=problem and Rejection(TOO_LARGE if problem.cause == TOO_LARGE else MALFORMED, problem.detail),
    )


def verdict_message(verdict: Verdict, key: bytes | None, topic: str) -> Message:
    """A verdict, with the key of its frame, so that both are partitioned in the same way."""
    return _about(verdict, key, VERDICT_TYPE, verdict.to_json().encode(), "application/json", topic)


def evidence_message(verdict: Verdict, key: bytes | None, data: bytes, topic: str) -> Message:
    """An evidence package (`formats.evidence_package`) with the verdict's id, by which duplicates are recognised."""
    return _about(verdict, key, EVIDENCE_TYPE, data, "application/zip", topic)


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


def _about(
    verdict: Verdict, key: bytes | None, event_type: str, value: bytes, content_type: str, topic: str
) -> Message:
    attributes = {
        "id": verdict.id,
        "source": f"/andon/models/{verdict.model}",
        "type": event_type,
        "subject": verdict.camera,
        "time": rfc3339(verdict.captured_at),
    }
    return Message(
        topic,
        _short_key(key) or verdict.camera.encode()[:MAX_KEY_BYTES],
        value,
        _headers(attributes, content_type),
        _milliseconds(verdict.captured_at),
    )


def _headers(attributes: dict[str, str], content_type: str) -> Headers:
    pairs: Iterable[tuple[str, str]] = [("specversion", "1.0"), *attributes.items()]
    events = tuple((f"ce_{name}", value.encode()) for name, value in pairs)
    return (*events, ("content-type", content_type.encode()))


def _captured_at(stamp: bytes | None, timestamp_ms: int | None) -> float:
    """Seconds since 1970; an attribute that is no time between 1970 and 9999 does not count."""
    if stamp is not None:
        try:
            return parse_time(stamp.decode())
        except ValueError:
            pass
    seconds = (timestamp_ms or 0) / 1000
    return seconds if MIN_TIME <= seconds <= MAX_TIME else MIN_TIME


def _milliseconds(seconds: float) -> int:
    """A record's timestamp, not later than now: brokers refuse records from the future."""
    return max(MIN_TIMESTAMP_MS, round(min(seconds, time.time()) * 1000))
