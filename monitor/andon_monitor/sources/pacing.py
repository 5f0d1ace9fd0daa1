"""A recording played at the speed at which it was captured."""

import time

from andon_monitor.inspection.frames import Frame
from andon_monitor.sources.base import Source, SourceOfSource


class PacedSource(SourceOfSource):
    """Delays each frame by the time between its capture and that of the first frame.

    `speed`: how many times faster than captured; 2 takes half the time.
    """

    def __init__(self, source: Source, speed: float = 1.0) -> None:
        super().__init__(source)
        self._speed = speed
        self._next: Frame | None = None
        self._offset: float | None = None  # seconds from capture times to the monotonic clock

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next frame when it is due; see `Source.poll`."""
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
