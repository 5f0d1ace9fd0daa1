"""A recording played at the tempo it was captured in."""

import time
from collections.abc import Sequence

from andon_monitor.inspection.frames import Frame
from andon_monitor.sources.base import Source


class PacedSource:
    """Holds each frame of a recording back until as much time has passed as between its capture and the first one's.

    `speed` is how many times faster: 2 for half the time.
    """

    def __init__(self, source: Source, speed: float = 1.0) -> None:
        self.name = source.name
        self.live = source.live
        self.length = source.length
        self.source = source
        self._speed = speed
        self._next: Frame | None = None
        self._offset: float | None = None  # between the clock and the capture times

    @property
    def ready(self) -> bool:
        """As the source itself."""
        return self.source.ready

    @property
    def damage(self) -> str | None:
        """As the source itself."""
        return self.source.damage

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next frame when its time has come; see `Source.poll`."""
        if capacity == 0:
            return self.source.poll(0, 0)
        if self._next is None:
            frames = self.source.poll(1, timeout)
            if not frames:
                return frames
            self._next = frames[0]
        if self._offset is None:
            self._offset = time.monotonic() - self._next.captured_at / self._speed
        wait = self._next.captured_at / self._speed + self._offset - time.monotonic()
        time.sleep(max(0.0, min(wait, timeout)))
        if wait > timeout:
            return []
        frame, self._next = self._next, None
        return [frame]

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """As the source itself."""
        self.source.acknowledge(frames)

    def close(self) -> None:
        """As the source itself."""
        self.source.close()
