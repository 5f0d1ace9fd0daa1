"""Ends the process where a call into the Kafka client does not come back: its supervisor starts it anew."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_STATUS = 70  # EX_SOFTWARE: not a mistake of the user's
PERIOD = 0.25

log = logging.getLogger("andon")


class Watchdog:
    """Deadlines by name; a thread looks at them. What has been acknowledged is safe, the rest is delivered again."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def set(self, what: str, seconds: float) -> None:
        """The process ends unless `clear` comes within `seconds`. May be called from a signal handler."""
        self._deadlines[what] = time.monotonic() + seconds

    def clear(self, what: str) -> None:
        """It came back."""
        self._deadlines.pop(what, None)

    @contextmanager
    def guard(self, what: str, seconds: float) -> Iterator[None]:
        """What happens inside must not take longer."""
        self.set(what, seconds)
        try:
            yield
        finally:
            self.clear(what)

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(PERIOD):
            now = time.monotonic()
            for what, deadline in list(self._deadlines.items()):
                if now > deadline:
                    log.critical("%s did not end in time; ending the process, what is not committed comes again", what)
                    logging.shutdown()
                    os._exit(EXIT_STATUS)
