"""Where a frame came from, as verdicts and labels name it."""

from typing import Any

from andon_monitor.inspection.frames import Position

Place = tuple[str, int, int, int | None]  # topic, partition, offset, event


def place_of(position: Position) -> Place:
    """A position without its cluster, which verdicts do not name."""
    return position.topic, position.partition, position.offset, position.event


def parse_place(frame: Any) -> Place:
    """The place in `frame` of a verdict or label. Raises AttributeError, KeyError, TypeError, ValueError."""
    event = frame.get("event")
    return str(frame["topic"]), int(frame["partition"]), int(frame["offset"]), None if event is None else int(event)
