"""A line on standard error that says how far a long job is."""

import sys
import time
from collections import deque

TERMINAL_SECONDS = 0.5
LOG_SECONDS = 10.0
TEMPO_SECONDS = 10.0  # long enough for a slow camera, short enough to see that one has stopped


class ProgressLine:
    """One line that is written over itself on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said = self.started = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for a line."""
        return time.monotonic() - self._said >= (TERMINAL_SECONDS if self._terminal else LOG_SECONDS)

    def say(self, text: str, last: bool = False) -> None:
        """Write it."""
        self._said = time.monotonic()
        if self._terminal:
            print(f"\r{text}\x1b[K", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


class Tempo:
    """How much a count grows in a second: that of the last ten seconds, as an hour's mean would hide a standstill."""

    def __init__(self) -> None:
        self._seen = deque([(time.monotonic(), 0)])

    def of(self, count: int) -> float:
        """Given where it stands now."""
        now = time.monotonic()
        self._seen.append((now, count))
        while now - self._seen[1][0] >= TEMPO_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (count - before) / max(now - then, 1e-6)
