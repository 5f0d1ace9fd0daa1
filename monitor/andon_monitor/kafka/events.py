"""The frames in a record: CloudEvents 1.0 in binary, structured or batched mode, or an image without any headers.

An event in structured mode makes the frame that the same event in binary mode makes: its attributes become `ce_`
headers, its `data_base64` the bytes of the image. So recordings and dead letters have one form.
"""

import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

from andon_monitor.errors import first_line
from andon_monitor.inspection.frames import (
    MAX_EVENTS,
    MAX_HEADERS,
    MAX_TIME,
    MIN_TIME,
    Frame,
    Position,
    Rejection,
    parse_time,
)
from andon_monitor.inspection.part import EVENT_NAMES
from andon_monitor.kafka.records import Headers, Record

MALFORMED, TOO_LARGE = "malformed", "too_large"  # reasons of verdicts; the latter is also a problem's cause
ATTRIBUTE = "ce_"  # the prefix of an attribute's header
CONTENT_TYPE = "content-type"
STRUCTURED, BATCHED = b"application/cloudevents+json", b"application/cloudevents-batch+json"
# Objects and lists take a hundred times their bytes once they are read; a batch has an object for each event.
MAX_JSON_CONTAINERS = 4 * MAX_EVENTS
MAX_JSON_VALUES = 100 * MAX_EVENTS

PartHeaders = Mapping[str, str]  # the name in a part's identity, by header


def read_frames(record: Record, cluster: str, topic_id: str | None, part_headers: PartHeaders) -> list[Frame]:
    """The frames in a record, at least one. Never raises: what cannot be read is a frame with a rejection.

    The camera is the key, without one topic and partition; an event of a batch names its camera by `subject` where it
    has one. The capture time is the attribute `time`, without one the record's timestamp. The file's name and where
    the capture time comes from are the attributes `file` and `capturetimesource`. The part's identity is in the other
    extension attributes and in the headers that `part_headers` names.
    """
    place = Position(cluster, record.topic, record.partition, record.offset, topic_id)
    if record.problem is not None:
        reason = TOO_LARGE if record.problem.cause == TOO_LARGE else MALFORMED
        return [_frame(record, place, part_headers, Rejection(reason, record.problem.detail))]
    mode = _mode(record.headers)
    if mode is None:
        return [_frame(record, place, part_headers)]
    try:
        content = _parse(record.value or b"")
        events = [content] if mode == STRUCTURED else content
        if not isinstance(events, list):
            raise ValueError("a batch of events is a list")
        if not 1 <= len(events) <= MAX_EVENTS:
            raise ValueError(f"a batch of {len(events)} events; right are 1 to {MAX_EVENTS}")
    except ValueError as error:
        return [_frame(record, place, part_headers, Rejection(MALFORMED, f"not a CloudEvent ({first_line(error)})"))]
    if mode == STRUCTURED:
        return [_of_event(record, events[0], place, part_headers, None)]
    last = len(events) - 1
    return [
        _of_event(
            record,
            event,
            Position(cluster, record.topic, record.partition, record.offset, topic_id, number),
            part_headers,
            number < last,
        )
        for number, event in enumerate(events)
    ]


def _mode(headers: Headers) -> bytes | None:
    """`STRUCTURED`, `BATCHED`, or None for an image."""
    for name, value in headers:
        if name == CONTENT_TYPE and value[:23].lower() == b"application/cloudevents":
            kind = value.split(b";", 1)[0].strip().lower()
            return kind if kind in (STRUCTURED, BATCHED) else None
    return None


def _parse(value: bytes) -> Any:
    """JSON whose size in memory is bounded. Raises ValueError."""
    if value.count(b"{") + value.count(b"[") > MAX_JSON_CONTAINERS or value.count(b",") > MAX_JSON_VALUES:
        raise ValueError(f"more than {MAX_JSON_CONTAINERS} objects and lists, or {MAX_JSON_VALUES} values")
    try:
        return json.loads(value)
    except RecursionError:
        raise ValueError("lists within lists too deep to read") from None


def _of_event(record: Record, event: Any, place: Position, part_headers: PartHeaders, more: bool | None) -> Frame:
    """The frame of an event in JSON; `more` is None for one that is not in a batch."""
    own = tuple((name, value) for name, value in record.headers if not _of_the_event(name))
    try:
        attributes, data = _read_event(event)
    except ValueError as error:
        rejection = Rejection(MALFORMED, f"not a CloudEvent ({first_line(error)})")
        if more is None:
            return _frame(record, place, part_headers, rejection)
        headers = (*own, (CONTENT_TYPE, STRUCTURED))  # the event alone, as somebody may mend and send it again
        alone = record._replace(value=json.dumps(event, ensure_ascii=True).encode(), headers=headers)
        return _frame(alone, place, part_headers, rejection, more)
    headers = (*attributes[: MAX_HEADERS - len(own)], *own)
    return _frame(record._replace(value=data, headers=headers), place, part_headers, None, bool(more), more is not None)


def _of_the_event(name: str) -> bool:
    return name == CONTENT_TYPE or name.startswith(ATTRIBUTE)


def _read_event(event: Any) -> tuple[Headers, bytes]:
    """The attributes of an event as headers, and its data. Raises ValueError."""
    if not isinstance(event, dict):
        raise ValueError("an event is an object")
    data = event.get("data_base64")
    if not isinstance(data, str):
        raise ValueError("no data_base64 with the image")
    try:
        content = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise ValueError(f"data_base64 is damaged: {error}") from None
    headers = []
    for name, value in event.items():
        if name in ("data", "data_base64"):
            continue
        if name == "datacontenttype" and isinstance(value, str):
            headers.append((CONTENT_TYPE, _encoded(value)))
        elif isinstance(value, bool):
            headers.append((f"{ATTRIBUTE}{name}", b"true" if value else b"false"))
        elif isinstance(value, str | int | float):
            headers.append((f"{ATTRIBUTE}{name}", _encoded(str(value))))
    return tuple(headers), content


def _frame(
    record: Record,
    place: Position,
    part_headers: PartHeaders,
    rejection: Rejection | None = None,
    more: bool = False,
    batched: bool = False,
) -> Frame:
    attributes = dict(record.headers)
    key = (record.key or b"").decode(errors="replace")
    subject = attributes.get("ce_subject", b"").decode(errors="replace") if batched else ""
    return Frame.of(
        record.value or b"",
        place,
        subject or key or f"{record.topic}-{record.partition}",
        _captured_at(attributes.get("ce_time"), record.timestamp),
        key=record.key,
        headers=record.headers,
        rejection=rejection,
        part=tuple(_part_facts(record.headers, part_headers)) if record.headers else None,
        more=more,
        file=_text(attributes.get("ce_file")),
        time_source=_text(attributes.get("ce_capturetimesource")),
    )


def _text(value: bytes | None) -> str | None:
    """The text of an attribute, None for none or an empty one."""
    return value.decode(errors="replace") if value else None


def _part_facts(headers: Headers, part_headers: PartHeaders) -> Iterator[tuple[str, bytes]]:
    for name, value in headers:
        if name.startswith(ATTRIBUTE):
            if (attribute := name[len(ATTRIBUTE) :]) not in EVENT_NAMES:
                yield attribute, value
        elif name in part_headers:
            yield part_headers[name], value


def _captured_at(stamp: bytes | None, timestamp_ms: int | None) -> float:
    """Seconds since 1970; an attribute that is no time between 1970 and 9999 does not count."""
    if stamp is not None:
        try:
            return parse_time(stamp.decode())
        except ValueError:
            pass
    seconds = (timestamp_ms or 0) / 1000
    return seconds if MIN_TIME <= seconds <= MAX_TIME else MIN_TIME


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")  # JSON may have lone surrogates
