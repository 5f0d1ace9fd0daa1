"""A line on standard error that shows how far a long job is, and rates for it."""

import sys
import time
from collections import deque

TERMINAL_INTERVAL_SECONDS = 0.5
LOG_INTERVAL_SECONDS = 10.0
RATE_WINDOW_SECONDS = 10.0  # long enough for a slow camera, short enough to see that one has stopped


class ProgressLine:
    """A line that is overwritten on a terminal; elsewhere a new line every ten seconds.

    `started`: when it was made, by `time.monotonic`.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._written_at = self.started = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for a line."""
        interval = TERMINAL_INTERVAL_SECONDS if self._terminal else LOG_INTERVAL_SECONDS
        return time.monotonic() - self._written_at >= interval

    def write(self, text: str, last: bool = False) -> None:
        """Write the line; `last`: no other one follows."""
        self._written_at = time.monotonic()
        if self._terminal:
            print(f"\r{text}\x1b[K", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


class Rate:
    """How much a count grows per second, over the last ten seconds: an hour's mean would hide a standstill."""

    def __init__(self) -> None:
        self._counts = deque([(time.monotonic(), 0)])

    def at(self, count: int) -> float:
        """Per second, given the count now."""
        now = time.monotonic()
        self._counts.append((now, count))
        while now - self._counts[1][0] >= RATE_WINDOW_SECONDS:
            self._counts.popleft()
        then, before = self._counts[0]
        return (count - before) / max(now - then, 1e-6)
