"""This process: signals that stop it, priority of its threads."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Literal

# How a run ended: its source ended, a signal stopped it before that, or an error did.
Ending = Literal["complete", "stopped", "failed"]
BACKGROUND_NICE = 10  # nice value, 0 is normal and 19 the lowest priority


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls `stop`, so that work can be finished; the second ends the process at once."""
    asked = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def lower_priority() -> None:
    """Lower the priority of the calling thread for good. Only on Linux, where a thread has a priority of its own."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICE)
