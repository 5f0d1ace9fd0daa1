"""The messages in a recording.

    /cameras/NAME     foxglove.CompressedImage (protobuf): the unchanged image file, which common viewers show
    /andon/frames     JSON, right before each image, with its log time and sequence: everything else about the frame
    /andon/verdicts   JSON: the verdicts of the monitor

Log time is capture time, in nanoseconds since 1970. Messages are in the order in which the frames arrived.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from google.protobuf.timestamp_pb2 import Timestamp
from mcap.records import Channel, Schema
from mcap.well_known import MessageEncoding

from andon_monitor.errors import first_line
from andon_monitor.image_files.signatures import detect
from andon_monitor.inspection.frames import Frame, Position, Rejection, valid_time

SUFFIX = ".mcap"
PROFILE = "andon"
CAMERAS = "/cameras/"
FRAMES = "/andon/frames"
VERDICTS = "/andon/verdicts"
IMAGE = "foxglove.CompressedImage"
IMAGE_ENCODINGS = (MessageEncoding.Protobuf, MessageEncoding.JSON)

UNKNOWN_FORMAT = "unknown"
MAX_TIME_NS = 2**64 - 1
SECOND_NS = 1_000_000_000

FRAME_SCHEMA = {
    "type": "object",
    "title": "andon.Frame",
    "description": "Everything about the image that follows; key and header values are base64.",
    "properties": {
        "camera": {"type": "string"},
        "captured_at": {"type": "number", "description": "seconds since 1970-01-01 UTC"},
        "cluster": {"type": "string"},
        "topic": {"type": "string"},
        "topic_id": {"type": "string"},
        "partition": {"type": "integer"},
        "offset": {"type": "integer"},
        "key": {"type": "string"},
        "headers": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "label": {"type": "string"},
        "file": {"type": "string"},
        "event": {"type": "integer", "description": "index in a record that held a batch of events"},
        "part": {"type": "object", "description": "what the producer knew about the part, as in verdicts"},
    },
}
VERDICT_SCHEMA = {"type": "object", "title": "andon.Verdict"}


def is_image(channel: Channel, schema: Schema | None) -> bool:
    """Whether a channel has images that we read; other programs also write raw images, video or ROS messages."""
    return schema is not None and schema.name == IMAGE and channel.message_encoding in IMAGE_ENCODINGS


def looks_like_images(schema: Schema | None) -> bool:
    """Whether the messages of a schema are pictures, by its name: these are missed if they are not read."""
    return schema is not None and any(word in schema.name.lower() for word in ("image", "video"))


def log_time(captured_at: float) -> int:
    """Seconds since 1970 in nanoseconds, limited to what MCAP can hold: from 1970 to 2554."""
    return min(max(0, round(captured_at * SECOND_NS)), MAX_TIME_NS)


def pack_facts(frame: Frame) -> bytes:
    """Everything about a frame but its image, as JSON. `unpack_frame` restores it exactly."""
    place = frame.position
    facts: dict[str, Any] = {
        "camera": frame.camera,
        "captured_at": frame.captured_at,
        "cluster": place.cluster,
        "topic": place.topic,
        "topic_id": place.topic_id,
        "partition": place.partition,
        "offset": place.offset,
        "key": None if frame.key is None else _text(frame.key),
        "headers": [[name, _text(value)] for name, value in frame.headers],
        "label": frame.label,
        "file": frame.file,
        "event": place.event,
        "part": None if frame.part is None else frame.part.to_dict(),
        "time_source": frame.time_source,
    }
    return json.dumps({name: value for name, value in facts.items() if value is not None}).encode()


def pack_image(frame: Frame) -> bytes:
    """The image as a foxglove.CompressedImage."""
    known = detect(frame.data)
    name = known.name if known else UNKNOWN_FORMAT
    nanoseconds = log_time(frame.captured_at)
    stamp = Timestamp(seconds=nanoseconds // SECOND_NS, nanos=nanoseconds % SECOND_NS)
    image = CompressedImage(timestamp=stamp, frame_id=frame.camera, data=frame.data, format=name)
    return image.SerializeToString()


def unpack_frame(facts: bytes, image: bytes, otherwise: Position) -> Frame:
    """The frame that `pack_facts` and `pack_image` were given.

    Never raises: of what anybody else has written, what is wrong is the frame's `rejection`. `otherwise` is its
    position where the facts have none.
    """
    try:
        data, _ = _protobuf_image(image)
        known: Mapping[str, Any] = json.loads(facts)
        return Frame.of(
            data,
            Position.of(
                *(known["cluster"], known["topic"], known["partition"], known["offset"]),
                known.get("topic_id"),
                known.get("event"),
            ),
            known["camera"],
            known["captured_at"],
            label=known.get("label"),
            file=known.get("file"),
            key=base64.b64decode(known["key"]) if "key" in known else None,
            headers=tuple((name, base64.b64decode(value)) for name, value in known["headers"]),
            part=known.get("part"),
            time_source=known.get("time_source"),
        )
    except Exception as error:  # json, protobuf and base64 raise different ones
        return _malformed(otherwise, 0.0, f"not a frame that andon recorded ({first_line(error)})")


def unpack_foreign(channel: Channel, position: Position, log_time_ns: int, message: bytes) -> Frame:
    """The frame of an image that another program recorded; its camera is named by the topic. Never raises."""
    logged_at = log_time_ns / SECOND_NS
    try:
        in_json = channel.message_encoding == MessageEncoding.JSON
        data, captured_at = _json_image(message) if in_json else _protobuf_image(message)
    except Exception as error:  # protobuf's DecodeError differs between its implementations
        return _malformed(position, logged_at, f"not a {IMAGE} ({first_line(error)})")
    camera = channel.topic.removeprefix(CAMERAS).strip("/") or "camera"
    return Frame.of(data, position, camera, round(captured_at or logged_at, 3), default_time=logged_at)


def _protobuf_image(message: bytes) -> tuple[bytes, float]:
    """The image file in a message, and the time of its capture in seconds since 1970, 0 for none."""
    image = CompressedImage.FromString(message)
    return image.data, image.timestamp.seconds + image.timestamp.nanos / SECOND_NS


def _json_image(message: bytes) -> tuple[bytes, float]:
    """As `_protobuf_image`. Raises ValueError, KeyError, TypeError."""
    image = json.loads(message)
    stamp = image.get("timestamp")
    if isinstance(stamp, Mapping):
        stamp = valid_time("timestamp", stamp["sec"]) + valid_time("timestamp", stamp.get("nsec", 0)) / SECOND_NS
    return base64.b64decode(image["data"], validate=True), 0.0 if stamp is None else valid_time("timestamp", stamp)


def _malformed(position: Position, captured_at: float, why: str) -> Frame:
    return Frame.of(b"", position, position.topic, captured_at, rejection=Rejection("malformed", why))


def _text(data: bytes) -> str:
    """Bytes in base64: a key or header need not be text."""
    return base64.b64encode(data).decode("ascii")
