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

from andon_monitor.image_files.signatures import detect
from andon_monitor.inspection.frames import Frame, Position

SUFFIX = ".mcap"
PROFILE = "andon"
CAMERAS = "/cameras/"
FRAMES = "/andon/frames"
VERDICTS = "/andon/verdicts"
IMAGE = "foxglove.CompressedImage"

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
        "partition": {"type": "integer"},
        "offset": {"type": "integer"},
        "key": {"type": "string"},
        "headers": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "label": {"type": "string"},
        "file": {"type": "string"},
    },
}
VERDICT_SCHEMA = {"type": "object", "title": "andon.Verdict"}


def is_image(channel: Channel, schema: Schema | None) -> bool:
    """Whether a channel has images that we read; other programs also write them as JSON or ROS messages."""
    return schema is not None and schema.name == IMAGE and channel.message_encoding == MessageEncoding.Protobuf


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
        "partition": place.partition,
        "offset": place.offset,
        "key": None if frame.key is None else _text(frame.key),
        "headers": [[name, _text(value)] for name, value in frame.headers],
        "label": frame.label,
        "file": frame.file,
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


def unpack_frame(facts: bytes, image: bytes) -> Frame:
    """The frame that `pack_facts` and `pack_image` were given. Raises ValueError."""
    try:
        known: Mapping[str, Any] = json.loads(facts)
        return Frame(
            camera=known["camera"],
            captured_at=known["captured_at"],
            data=CompressedImage.FromString(image).data,
            position=Position(known["cluster"], known["topic"], known["partition"], known["offset"]),
            label=known.get("label"),
            file=known.get("file"),
            key=base64.b64decode(known["key"]) if "key" in known else None,
            headers=tuple((name, base64.b64decode(value)) for name, value in known["headers"]),
        )
    except Exception as error:  # json, protobuf and base64 raise different ones
        raise ValueError(f"not a frame that andon recorded ({error})") from None


def unpack_foreign(topic: str, position: Position, log_time_ns: int, data: bytes) -> Frame:
    """The frame of an image that another program recorded; its camera is named by the topic. Raises ValueError."""
    try:
        image = CompressedImage.FromString(data)
    except Exception as error:  # protobuf's DecodeError differs between its implementations
        raise ValueError(f"not a {IMAGE} ({error})") from None
    stamp = image.timestamp.seconds * SECOND_NS + image.timestamp.nanos or log_time_ns
    camera = topic.removeprefix(CAMERAS).strip("/") or image.frame_id or "camera"
    return Frame(camera, round(stamp / SECOND_NS, 3), image.data, position)


def _text(data: bytes) -> str:
    """Bytes in base64: a key or header need not be text."""
    return base64.b64encode(data).decode("ascii")
