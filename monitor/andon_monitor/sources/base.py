"""What a source of frames is."""

from collections.abc import Sequence
from typing import Protocol

from andon_monitor.inspection.frames import Frame


class Source(Protocol):
    """A stream of frames. One thread alone calls its methods, from the first `poll` to `close`."""

    name: str  # for people: the URI without its password
    live: bool  # whether frames are captured now; a recording's verdicts carry no latency
    length: int | None  # how many frames there will be, where that is known

    @property
    def ready(self) -> bool:
        """Whether frames can come: a member of a group may wait for its share."""

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """Up to `capacity` frames, as soon as there are some, [] after `timeout` seconds, None after the last one.

        With capacity 0 it soon gives [], but does what it must to stay connected. Raises SourceError.
        """

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Take note that the verdicts on these frames, the next in the order they came, are durable."""

    def close(self) -> None:
        """Let go of what the source holds."""


def damage_of(source: Source) -> str | None:
    """What is lost of a recording that has been read; None for other sources."""
    while hasattr(source, "source"):  # paced, or narrowed down
        source = source.source
    damage: str | None = getattr(source, "damage", None)
    return damage
