"""One target that remembers: what its outbox holds is sent until the target has it, on a thread of its own."""

import logging
import threading
import time

from andon_monitor.actions.links.base import Link, LinkError
from andon_monitor.actions.measuring import TargetMeasures
from andon_monitor.actions.outbox import Outbox
from andon_monitor.errors import first_line
from andon_monitor.settings.actions import TargetSettings

GROUP = 20  # messages sent before they are removed together: what a crash repeats at most
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.5, 30.0
CLOSE_SECONDS = 5.0  # at the end, for what is waiting; the rest is sent after the next start

log = logging.getLogger("andon")


class Courier:
    """Sends what the outbox holds, oldest first, as often as it takes. A message may come twice, with one id."""

    def __init__(self, target: TargetSettings, outbox: Outbox, link: Link, measures: TargetMeasures) -> None:
        self._target = target
        self._outbox = outbox
        self._link = link
        self._measures = measures
        self._open = False
        self._closing_at: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"actions {target.name}", daemon=True)
        self._thread.start()

    def begin_close(self) -> None:
        """Send what waits, for a short time."""
        with self._outbox.added:
            self._closing_at = time.monotonic() + CLOSE_SECONDS
            self._outbox.added.notify_all()

    def close(self) -> None:
        """Wait for the end that `begin_close` began. What is not sent is kept for the next start."""
        self._thread.join(CLOSE_SECONDS + self._target.timeout + 1)
        if self._thread.is_alive():
            return  # it still uses the file; the process ends soon
        waiting = len(self._outbox)
        if waiting:
            log.warning("actions: %s: %d messages wait in the outbox for the next start", self._target.name, waiting)
        self._outbox.close()

    def _run(self) -> None:
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                if not self._open:
                    self._link.open()
                    self._open = True
                self._send_group()
                self._measures.working()
                pause, wait = FIRST_RETRY_SECONDS, 0.0
            except Exception as error:  # whatever a library does, the message is sent again
                self._measures.failing(str(error) if isinstance(error, LinkError) else first_line(error))
                self._open = False
                pause, wait = min(2 * pause, LONGEST_RETRY_SECONDS), pause
            self._measures.waiting(len(self._outbox))
            if self._wait(wait):
                break
        self._link.close()

    def _send_group(self) -> None:
        done = []
        try:
            for stored in self._outbox.oldest(GROUP):
                started = time.monotonic()
                try:
                    self._link.send(stored.message)
                except LinkError as error:
                    if not error.lasting:
                        raise
                    self._measures.count("failed")
                    log.error("actions: %s: a message is given up: %s", self._target.name, error)
                else:
                    self._measures.done(time.monotonic() - started, None)
                done.append(stored.number)
        finally:
            self._outbox.remove(done)

    def _wait(self, seconds: float) -> bool:
        """Wait for messages, or `seconds` after a failure. Returns whether to end."""
        outbox = self._outbox
        with outbox.added:
            if seconds:
                outbox.added.wait_for(lambda: self._closing_at is not None, seconds)
            else:
                outbox.added.wait_for(lambda: self._closing_at is not None or outbox.is_filled)
            if self._closing_at is None:
                return False
            return not outbox.is_filled or bool(seconds) or time.monotonic() >= self._closing_at
