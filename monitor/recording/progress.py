"""A line on standard error that says how far a long job is."""

import sys
import time

TERMINAL_SECONDS = 0.5
LOG_SECONDS = 10.0


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
