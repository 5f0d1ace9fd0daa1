"""Work beside the pages, in a thread of its own, that no failure ends for good."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from andon_monitor.errors import AndonError

RETRY_SECONDS = 10.0
CLOSE_SECONDS = 5.0

log = logging.getLogger("andon")


class Worker:
    """Runs `work`, which is to return soon after the event it is given is set.

    Where it raises AndonError (a topic yet to be made, a full disk) that is said once and it is run again.
    """

    def __init__(self, name: str, work: Callable[[threading.Event], None]) -> None:
        self._name = name
        self._work = work
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; what waits for a broker that is away is not waited for."""
        close_all([self])

    def _run(self) -> None:
        said = ""
        while not self._closed.is_set():
            try:
                self._work(self._closed)
            except AndonError as error:
                if str(error) != said:
                    log.error("%s: %s; trying again", self._name, error)
                said = str(error)
                self._closed.wait(RETRY_SECONDS)


def close_all(workers: Sequence[Worker]) -> None:
    """End all of them at once, in the time that one may take."""
    for worker in workers:
        worker._closed.set()
    deadline = time.monotonic() + CLOSE_SECONDS
    for worker in workers:
        worker._thread.join(max(0.0, deadline - time.monotonic()))
