"""One target that acts now: its queue, its connection, its outputs and its heartbeat, on a thread of its own."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from andon_monitor.actions.clock import Clock
from andon_monitor.actions.encoder import Encoder
from andon_monitor.actions.facts import Fact
from andon_monitor.actions.links.base import Link, LinkError, Message
from andon_monitor.actions.measuring import TargetMeasures
from andon_monitor.actions.outputs import Outputs
from andon_monitor.actions.rules import Rule
from andon_monitor.errors import first_line
from andon_monitor.settings.actions import TargetSettings

# A line makes parts meanwhile: a target that is back must not wait long for its first command.
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.05, 0.5
MAX_TICK_SECONDS = 0.1  # between two looks at whether frames are answered, and at what is acknowledged
MAX_UNPLACED_SECONDS = 60.0  # an action that waits for an encoder whose speed is not known
MAX_DRAIN_SECONDS = 10.0  # at the end, for the actions of parts on their way to the gate
CLOSE_SECONDS = 5.0  # then, for the safe state and the end of the connection

log = logging.getLogger("andon")


@dataclass(slots=True)
class Job:
    """An action to be done. Times in seconds of the monotonic clock.

    `captured` and `decided`: when the frame was captured and the rule fired. `after` seconds from capture, or `counts`
    of `encoder` from the frame's position.
    """

    rule: Rule
    fact: Fact
    captured: float
    decided: float
    encoder: Encoder | None = None

    def due(self) -> float | None:
        """When to act; None while the encoder's speed is not known."""
        settings = self.rule.settings
        if settings.after_counts is not None:
            if self.encoder is None or self.fact.encoder is None:
                return self.decided
            return self.encoder.time_of(self.fact.encoder + settings.after_counts)
        return self.decided if settings.after is None else self.captured + settings.after

    def expires(self) -> float:
        """When it is too late to act."""
        due = self.due()
        return self.decided + MAX_UNPLACED_SECONDS if due is None else due + self.rule.settings.window


class Worker:
    """Does the actions of one target at their times. Nothing that is late is done.

    `is_alive`: whether frames are answered in time; where not, outputs go to their safe state and the heartbeat stops.
    """

    def __init__(
        self,
        target: TargetSettings,
        rules: list[Rule],
        link: Link,
        measures: TargetMeasures,
        is_alive: Callable[[], bool],
        clock: Clock | None = None,
    ) -> None:
        self._now = (clock or Clock()).monotonic
        self._target = target
        self._link = link
        self._measures = measures
        self._is_alive = is_alive
        self._outputs = Outputs(rules)
        self._jobs: list[Job] = []
        self._changed = threading.Condition()
        self._open = False
        self._retry_at, self._retry_pause = 0.0, FIRST_RETRY_SECONDS
        self._beat_at, self._beats = 0.0, 0
        self._drain_until: float | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Work on a thread of its own. Without it, somebody calls `step` at each `next_moment`."""
        self._thread = threading.Thread(target=self._run, name=f"actions {self._target.name}", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Add an action. Returns at once; where too many wait, the oldest is dropped."""
        with self._changed:
            if len(self._jobs) >= self._target.queue:
                self._jobs.pop(0)
                self._measures.count("dropped")
            self._jobs.append(job)
            self._changed.notify()

    def wake(self) -> None:
        """Look again: the encoder moved, or frames are no longer answered in time."""
        with self._changed:
            self._changed.notify()

    def begin_close(self) -> None:
        """Take no more actions; finish those that are on their way, then enter the safe state."""
        with self._changed:
            self._drain_until = self._now() + MAX_DRAIN_SECONDS
            self._changed.notify()

    def close(self) -> None:
        """Wait for the end that `begin_close` began. Never raises."""
        if self._thread is None:
            return
        self._thread.join(MAX_DRAIN_SECONDS + CLOSE_SECONDS)
        if self._thread.is_alive():
            log.error("actions: %s: is not finished; its outputs may not be in their safe state", self._target.name)

    def _run(self) -> None:
        while not self._is_finished():
            self.step()
            with self._changed:
                pause = self.next_moment() - self._now()
                if pause > 0:
                    self._changed.wait(pause)
        self._end()

    def step(self) -> None:
        """Do what is due now. Never raises."""
        try:
            self._step()
        except Exception as error:  # whatever a library does, the target is tried again
            if not isinstance(error, LinkError):
                log.debug("actions: %s", self._target.name, exc_info=error)
            self._failed(str(error) if isinstance(error, LinkError) else first_line(error))

    def next_moment(self) -> float:
        """When there is something to do next, or to look at; `put` and `wake` may make it earlier."""
        moments = [self._now() + MAX_TICK_SECONDS]
        if self._open:
            moments += [due for job in self._jobs if (due := job.due()) is not None]
            moments += [] if self._outputs.next_end is None else [self._outputs.next_end]
            moments += [] if self._target.heartbeat is None else [self._beat_at]
        else:
            moments.append(self._retry_at)
        return min(moments)

    def _is_finished(self) -> bool:
        with self._changed:
            if self._drain_until is None:
                return False
            now = self._now()
            on_their_way = self._jobs or self._outputs.next_end is not None
            return not on_their_way or now >= self._drain_until

    def _step(self) -> None:
        """Do what is due. Raises LinkError."""
        now = self._now()
        self._drop_expired(now)
        if not self._open:
            if now < self._retry_at:
                return
            self._link.open()
            self._open = True
            self._beat_at = 0.0
            for message in self._outputs.states():
                self._link.send(message)
            self._retry_pause = FIRST_RETRY_SECONDS
            self._measures.working()
        self._link.check()
        self._follow_safe_state()
        while (job := self._next_due()) is not None:
            self._do(job)
        self._release()
        self._beat()

    def _do(self, job: Job) -> None:
        """Do one action. Where the link fails it waits for the next connection. Raises LinkError."""
        # What a broker keeps for later readers stays true; all else is worthless after its moment.
        expires = None if self._target.retain else max(0.0, job.expires() - self._now())
        rule, fact = job.rule, job.fact
        message = Message(rule.address.render(fact), rule.payload.render(fact), fact.id, expires, fact)
        try:
            self._link.send(message)
        except LinkError as error:
            if error.lasting:
                self._measures.count("failed")
                self._measures.failing(str(error))
                return
            with self._changed:
                self._jobs.insert(0, job)
            raise
        now = self._now()
        self._outputs.activated(job.rule, message, job.rule.idle.render(job.fact), now)
        planned = max(0.0, (job.due() or job.decided) - job.decided)
        self._measures.done(now - job.decided - planned, now - job.captured - planned)

    def _next_due(self) -> Job | None:
        """Take the job that is due first, if one is due."""
        now = self._now()
        with self._changed:
            ready = [(due, number) for number, job in enumerate(self._jobs) if (due := job.due()) is not None]
            due, number = min(ready, default=(now + 1, 0))
            if due > now:
                return None
            job = self._jobs.pop(number)
            self._measures.waiting(len(self._jobs))
        if now > job.expires():
            self._measures.count("late")
            return self._next_due()
        return job

    def _drop_expired(self, now: float) -> None:
        """Count actions whose moment has passed: failed where the target did not answer, else late."""
        with self._changed:
            kept = [job for job in self._jobs if now <= job.expires()]
            expired = len(self._jobs) - len(kept)
            self._jobs = kept
            self._measures.waiting(len(kept))
        self._measures.count("late" if self._open else "failed", expired)

    def _follow_safe_state(self) -> None:
        safe = not self._is_alive()
        if safe != self._outputs.safe:
            self._outputs.set_safe(safe)
            for message in self._outputs.states():
                self._link.send(message)
            self._beat_at = 0.0

    def _release(self) -> None:
        acknowledge = self._target.acknowledge
        acknowledged = acknowledge is not None and self._outputs.holds and self._link.acknowledged(acknowledge)
        for message in self._outputs.ended(self._now(), acknowledged):
            self._link.send(message)
            self._outputs.released(message.address)

    def _beat(self) -> None:
        now = self._now()
        if self._target.heartbeat is None or now < self._beat_at:
            return
        self._beat_at = now + self._target.heartbeat_interval
        alive = not self._outputs.safe
        self._beats += alive
        self._link.beat(self._target.heartbeat, self._beats, alive)

    def _failed(self, why: str) -> None:
        self._measures.failing(why)
        if self._open:
            self._open = False
            self._retry_at = self._now()  # the first try at once: perhaps only the connection was closed
            return
        self._retry_at = self._now() + self._retry_pause
        self._retry_pause = min(2 * self._retry_pause, LONGEST_RETRY_SECONDS)

    def _end(self) -> None:
        """Enter the safe state and close the connection."""
        with self._changed:
            self._measures.count("failed", len(self._jobs))
            self._jobs = []
        try:
            if not self._open:
                self._link.open()
            self._outputs.set_safe(True)
            for message in self._outputs.states():
                self._link.send(message)
        except Exception as error:
            log.error("actions: %s: its safe state could not be set (%s)", self._target.name, first_line(error))
        self._link.close()
