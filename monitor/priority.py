"""Work that may wait: where cores are short the line's own threads go before it."""

import os
import threading
from contextlib import suppress

NICE = 10


def give_way() -> None:
    """Lower the priority of the calling thread, for good. A thread has a priority of its own on Linux alone."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
