"""Background work of the page, each in a thread of its own that survives failures."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from andon_monitor.errors import AndonError, first_line

RETRY_SECONDS = 10.0
MAX_RETRY_SECONDS = 60.0
CLOSE_SECONDS = 5.0  # to wait for threads to end; one that waits for an absent broker is left behind

log = logging.getLogger("andon")


class Worker:
    """Runs `work` in a thread. `work` has to return soon after the event that it is given is set.

    If it raises AndonError (a topic that does not exist yet, a full disk), that is logged once and it is run again,
    after pauses that double. So is any other error, which is a fault of ours: with a traceback, the first time.
    """

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self._name = name
        self._work = work
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop it."""
        close_all([self])

    def _run(self) -> None:
        logged, pause = "", RETRY_SECONDS
        while not self._closed.is_set():
            started = time.monotonic()
            try:
                self._work(self._closed)
                continue
            except Exception as error:
                line = str(error) if isinstance(error, AndonError) else f"{type(error).__name__}: {first_line(error)}"
                if line != logged:
                    fault = None if isinstance(error, AndonError) else error
                    log.error("%s: %s; trying again", self._name, line, exc_info=fault)
                logged = line
            if time.monotonic() - started > MAX_RETRY_SECONDS:  # it worked for a while
                pause = RETRY_SECONDS
            self._closed.wait(pause)
            pause = min(2 * pause, MAX_RETRY_SECONDS)


def close_all(workers: Sequence[Worker]) -> None:
    """Stop all of them within the time that one may take."""
    for worker in workers:
        worker._closed.set()
    deadline = time.monotonic() + CLOSE_SECONDS
    for worker in workers:
        worker._thread.join(max(0.0, deadline - time.monotonic()))
