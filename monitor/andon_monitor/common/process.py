"""This process: signals that stop it, priority of its threads."""

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Literal

# How a run ended: its source ended, a signal stopped it before that, or an error did.
Ending = Literal["complete", "stopped", "failed"]
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
BACKGROUND_NICE = 10  # nice value, 0 is normal and 19 the lowest priority


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM calls `stop`, so that work can be finished; the second ends the process at once.

    `stop` is called on a thread of its own. A signal's handler runs between two instructions of the main thread, which
    may hold the very lock that `stop` needs: to set an event that the main thread begins to wait for would block both.
    """
    receiver, sender = socket.socketpair()  # not a pipe: on Windows only a socket does not block
    sender.setblocking(False)
    watching = threading.Thread(target=_watch_signals, args=(receiver, stop), name="signals", daemon=True)
    watching.start()
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, _leave_to_the_thread) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        sender.close()
        watching.join()
        receiver.close()


def _leave_to_the_thread(number: int, frame: FrameType | None) -> None:
    """Python writes a signal's number to the wakeup descriptor only where the signal has a handler."""


def _watch_signals(receiver: socket.socket, stop: Callable[[], None]) -> None:
    """Read signals' numbers until the sender is closed."""
    asked = False
    while data := receiver.recv(1):
        if data[0] not in STOP_SIGNALS:
            continue
        if asked:
            os._exit(128 + data[0])
        asked = True
        stop()


def hide_from_process_list(hide: Callable[[str], str]) -> None:
    """Rewrite the arguments of this process as others see them, by `ps` or in /proc; only on Linux.

    `hide` returns an argument without what is secret, which must not be longer.
    """
    with suppress(OSError, ValueError, IndexError):
        stat = Path("/proc/self/stat").read_text()
        start, end = (int(field) for field in stat[stat.rindex(")") :].split()[46:48])  # fields 48 and 49 of proc(5)
        shown = Path("/proc/self/cmdline").read_bytes()
        if len(shown) != end - start:
            return
        hidden = b"\0".join(_hide(argument, hide) for argument in shown.split(b"\0"))
        if hidden != shown:
            ctypes.memmove(start, hidden, len(shown))


def _hide(argument: bytes, hide: Callable[[str], str]) -> bytes:
    text = hide(os.fsdecode(argument))
    return argument if text == os.fsdecode(argument) else os.fsencode(text)[: len(argument)].ljust(len(argument), b" ")


def lower_priority() -> None:
    """Lower the priority of the calling thread for good. Only on Linux, where a thread has a priority of its own."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICE)
