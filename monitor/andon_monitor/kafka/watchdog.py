"""Ends the process where a call into the Kafka client does not return; its supervisor then starts it again."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_STATUS = 70  # EX_SOFTWARE of sysexits.h: no mistake of the user
CHECK_SECONDS = 0.25

log = logging.getLogger("andon")


class Watchdog:
    """Deadlines by name, checked on a thread. Uncommitted frames are delivered again after the restart."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def set(self, what: str, seconds: float) -> None:
        """End the process unless `clear` is called within `seconds`.."""
        self._deadlines[what] = time.monotonic() + seconds

    def clear(self, what: str) -> None:
        """Remove a deadline: the call returned."""
        self._deadlines.pop(what, None)

    @contextmanager
    def guard(self, what: str, seconds: float) -> Iterator[None]:
        """A context that ends the process where its body takes longer than `seconds`."""
        self.set(what, seconds)
        try:
            yield
        finally:
            self.clear(what)

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(CHECK_SECONDS):
            now = time.monotonic()
            for what, deadline in list(self._deadlines.items()):
                if now > deadline:
                    log.critical("%s did not end in time; stopping, uncommitted frames are delivered again", what)
                    logging.shutdown()
                    os._exit(EXIT_STATUS)
