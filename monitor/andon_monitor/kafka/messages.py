"""What is said over Kafka: CloudEvents 1.0 in binary mode, the value untouched, attributes as `ce_` headers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from andon_monitor.inspection.frames import Frame, Position, Verdict, parse_time, rfc3339

FRAME_TYPE = "andon.frame"
VERDICT_TYPE = "andon.verdict"
EVIDENCE_TYPE = "andon.defect"
LABEL_TYPE = "andon.label"
IMAGE_TYPES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"BM", "image/bmp"),
    (b"RIFF", "image/webp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
# Kafka refuses times before 1970, and a frame's time comes from whoever sent it.
EARLIEST_MS = 0

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A record to be sent. `timestamp_ms` is the capture time, in milliseconds since 1970."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


def frame_message(frame: Frame, topic: str, event_id: str) -> Message:
    """A camera's frame on its way in; headers of its own stay, but for those of an earlier event."""
    attributes = {
        "id": event_id,
        "source": f"/andon/cameras/{frame.camera}",
        "type": FRAME_TYPE,
        "time": rfc3339(frame.captured_at),
    }
    own = tuple((name, value) for name, value in frame.headers if not name.startswith(("ce_", "content-type")))
    return Message(
        topic,
        frame.camera.encode(),
        frame.data,
        _headers(attributes, image_type(frame.data)) + own,
        _milliseconds(frame.captured_at),
    )


def recorded_message(frame: Frame, topic: str, now: float | None) -> Message:
    """A frame that came from a topic, with the key and headers it had there; where `now` is given captured then."""
    captured_at, headers = frame.captured_at, frame.headers
    if now is not None:
        time = rfc3339(now).encode()
        captured_at, headers = now, tuple((n, time if n == "ce_time" else value) for n, value in headers)
    return Message(topic, frame.key, frame.data, headers, _milliseconds(captured_at))


def read_frame(record: Any, cluster: str) -> Frame:
    """The frame in a consumed record (kafka-python's ConsumerRecord); any record at all makes one. Never raises.

    The camera is the key, else the topic and partition. The capture time is the attribute `time`, else the record's.
    """
    headers: Headers = tuple((name, value or b"") for name, value in record.headers or ())
    attributes = dict(headers)
    camera = (record.key or b"").decode(errors="replace") or f"{record.topic}-{record.partition}"
    return Frame(
        camera=camera,
        captured_at=_captured_at(attributes.get("ce_time"), record.timestamp),
        data=record.value or b"",
        position=Position(cluster, record.topic, record.partition, record.offset),
        key=record.key,
        headers=headers,
    )


def verdict_message(verdict: Verdict, key: bytes | None, topic: str) -> Message:
    """A verdict on its way out; its key is its frame's, so that both sort into partitions alike."""
    return _about(verdict, key, VERDICT_TYPE, verdict.to_json().encode(), "application/json", topic)


def evidence_message(verdict: Verdict, key: bytes | None, data: bytes, topic: str) -> Message:
    """A package of evidence (`formats.evidence_package`) under the verdict's id, so that a duplicate is known."""
    return _about(verdict, key, EVIDENCE_TYPE, data, "application/zip", topic)


def label_message(event_id: str, camera: str, at: float, value: bytes, topic: str) -> Message:
    """What a person said of a frame, at a time in seconds since 1970; JSON, see `andon_monitor.review.publishing`."""
    attributes = {
        "id": event_id,
        "source": "/andon/review",
        "type": LABEL_TYPE,
        "subject": camera,
        "time": rfc3339(at),
    }
    return Message(topic, camera.encode(), value, _headers(attributes, "application/json"), _milliseconds(at))


def dead_letter(frame: Frame, verdict: Verdict, topic: str) -> Message:
    """A frame that could not be inspected: bytes, key and headers as they came; `andon_` headers say why and whence."""
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
    headers = frame.headers + tuple((name, value.encode()) for name, value in why.items())
    return Message(topic, frame.key, frame.data, headers, _milliseconds(frame.captured_at))


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
        key or verdict.camera.encode(),
        value,
        _headers(attributes, content_type),
        _milliseconds(verdict.captured_at),
    )


def _headers(attributes: dict[str, str], content_type: str) -> Headers:
    pairs: Iterable[tuple[str, str]] = [("specversion", "1.0"), *attributes.items()]
    events = tuple((f"ce_{name}", value.encode()) for name, value in pairs)
    return (*events, ("content-type", content_type.encode()))


def image_type(data: bytes) -> str:
    """The content type of an image file, by how it begins."""
    return next((name for start, name in IMAGE_TYPES if data.startswith(start)), "application/octet-stream")


def _captured_at(time: bytes | None, timestamp_ms: int | None) -> float:
    if time is not None:
        try:
            seconds = parse_time(time.decode())
            rfc3339(seconds)  # what cannot be written into a verdict is no time either
        except (ValueError, OverflowError, OSError):
            pass
        else:
            return seconds
    seconds = max(timestamp_ms or 0, EARLIEST_MS) / 1000
    try:
        rfc3339(seconds)
    except (ValueError, OverflowError, OSError):
        return 0.0
    return seconds


def _milliseconds(seconds: float) -> int:
    return max(EARLIEST_MS, round(seconds * 1000))
