"""The protocol that every source of frames follows."""

from collections.abc import Collection, Sequence
from typing import Protocol

from andon_monitor.inspection.frames import Frame


class Source(Protocol):
    """A stream of frames. A single thread calls its methods, from the first `poll` to `close`."""

    name: str  # for people: the URI without its password
    live: bool  # whether frames are captured now; verdicts on a recording have no latency
    length: int | None  # the number of frames, where it is known

    @property
    def ready(self) -> bool:
        """Whether frames can come: a member of a consumer group may still wait for its partitions."""

    @property
    def damage(self) -> str | None:
        """What of a recording could not be read, on one line, once all frames have been polled; else None."""

    @property
    def passed_over(self) -> str | None:
        """What is there and is not read, on one line, such as hidden files or channels without images; else None."""

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """Up to `capacity` frames, as soon as there are some; [] after `timeout` seconds; None after the last frame.

        Where a record has several frames they all come at once, which may exceed the capacity.

        With capacity 0 it returns [] quickly, and does what it must to stay connected. Raises SourceError.
        """

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """Take note that the verdicts on these frames are durable; those of them that could not be inspected are named.

        Frames are acknowledged in the order of `poll`.
        """

    def close(self) -> None:
        """Close files and connections."""


class SourceOfSource:
    """A source that takes its frames from another one, and is as that one but for its `poll`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name = source.name
        self.live = source.live
        self.length = source.length

    @property
    def ready(self) -> bool:
        """As the other source."""
        return self.source.ready

    @property
    def damage(self) -> str | None:
        """As the other source."""
        return self.source.damage

    @property
    def passed_over(self) -> str | None:
        """As the other source."""
        return self.source.passed_over

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
        """As the other source."""
        self.source.acknowledge(frames, uninspectable)

    def close(self) -> None:
        """As the other source."""
        self.source.close()
