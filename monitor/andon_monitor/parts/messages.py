"""The records of the topic of views: a part's view, and how far the topic of verdicts has been read."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from andon_monitor.inspection.frames import MAX_OFFSET, MAX_PARTITION
from andon_monitor.kafka.messages import Message
from andon_monitor.kafka.records import Headers, Record

SOURCE = "andon_source"  # headers
PROGRESS = "andon_progress"
MAX_TIME_MS = 2**52
MAX_EPOCH = 100  # characters


@dataclass(frozen=True, slots=True)
class Origin:
    """The verdict's place in the topic with the UUID `epoch`, which has so many `partitions`.

    `time` is the timestamp of its record, in milliseconds since 1970.
    """

    epoch: str
    partitions: int
    partition: int
    offset: int
    time: int


@dataclass(frozen=True, slots=True)
class Read:
    """How far a partition was read: up to `offset`, with the `time` of the last record and milliseconds since then.

    `time` is None for a partition that has had no record for as long as a time-out.
    """

    offset: int
    time: int | None
    idle: int


@dataclass(frozen=True, slots=True)
class ReadTo:
    """How far partitions of the topic `epoch` were read."""

    epoch: str
    partitions: int
    places: Mapping[int, Read]


def view_message(part: str, origin: Origin, value: bytes, headers: Headers, topic: str) -> Message:
    """A verdict as it is, for the partition of its part."""
    facts = [origin.epoch, origin.partitions, origin.partition, origin.offset, origin.time]
    kept = tuple((name, content) for name, content in headers if name != SOURCE)
    return Message(topic, part.encode(), value, (*kept, (SOURCE, json.dumps(facts).encode())), _now_ms())


def read_message(read: ReadTo, topic: str, partition: int) -> Message:
    """How far verdicts were read, for one partition of the topic of views."""
    places = {str(number): [place.offset, place.time, place.idle] for number, place in sorted(read.places.items())}
    value = json.dumps({"epoch": read.epoch, "partitions": read.partitions, "read": places}).encode()
    return Message(topic, None, value, ((PROGRESS, b"1"),), _now_ms(), partition)


def parse_record(record: Record) -> Origin | ReadTo:
    """What a record of the topic of views is; a view's verdict is its value. Raises ValueError."""
    if record.problem is not None:
        raise ValueError(record.problem.detail)
    headers = dict(record.headers)
    try:
        if SOURCE in headers:
            epoch, partitions, partition, offset, at = json.loads(headers[SOURCE])
            return Origin(
                _text(epoch), _whole(partitions, 1, MAX_PARTITION), _whole(partition, 0, partitions - 1),
                _whole(offset, 0, MAX_OFFSET), _whole(at, 0, MAX_TIME_MS),
            )  # fmt: skip
        if PROGRESS not in headers:
            raise ValueError("neither a view nor how far verdicts were read")
        fields = json.loads(record.value or b"")
        partitions = _whole(fields["partitions"], 1, MAX_PARTITION)
        places = {
            _whole(int(number), 0, partitions - 1): Read(
                _whole(offset, -1, MAX_OFFSET), None if at is None else _whole(at, 0, MAX_TIME_MS),
                _whole(idle, 0, MAX_TIME_MS),
            )
            for number, (offset, at, idle) in fields["read"].items()
        }  # fmt: skip
        return ReadTo(_text(fields["epoch"]), partitions, places)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a record of views ({type(error).__name__})") from None


def _whole(value: Any, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ValueError(f"{ascii(value)[:60]} is not a number from {lowest} to {highest}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_EPOCH:
        raise ValueError(f"{ascii(value)[:60]} is not the id of a topic")
    return value


def _now_ms() -> int:
    """The time of sending: retention counts from it, also where old verdicts are joined again."""
    return round(time.time() * 1000)
