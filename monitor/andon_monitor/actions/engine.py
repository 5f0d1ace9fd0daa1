"""From verdicts to actions: what is due for each of them, and for frames that have none in time.

pipeline --expect--> Pending --deadline--> late --+
workers  --decide------------------------> rules -+-> Worker (one for each target that acts now)
delivery --write-------------------------> rules ---> Outbox -> Courier (one for each target that remembers)
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from andon_monitor.actions.clock import Clock
from andon_monitor.actions.courier import Courier
from andon_monitor.actions.encoder import Encoder
from andon_monitor.actions.facts import Fact, fact_of, late_fact, made_late
from andon_monitor.actions.links.base import Link, Message
from andon_monitor.actions.links.opening import make_link
from andon_monitor.actions.measuring import TargetMeasures
from andon_monitor.actions.outbox import Outbox
from andon_monitor.actions.pending import Pending
from andon_monitor.actions.rules import Rule, compile_rules
from andon_monitor.actions.worker import Job, Worker
from andon_monitor.common.process import Ending
from andon_monitor.errors import OutputError
from andon_monitor.inspection.frames import Frame, Verdict
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.settings.actions import TargetSettings
from andon_monitor.settings.groups import OutputSettings
from andon_monitor.telemetry.metrics import Metrics

MAX_ENCODERS = 1000  # cameras come from messages; beyond it the first ones are kept

log = logging.getLogger("andon")


class ActingTarget:
    """A target that acts now, with its rules."""

    def __init__(
        self,
        target: TargetSettings,
        link: Link,
        metrics: Metrics,
        is_alive: Callable[[float], bool],
        clock: Clock,
        of: str | None,
    ) -> None:
        self.rules = compile_rules(target, of)
        self.measures = TargetMeasures(target.name, metrics)
        self.worker = Worker(target, self.rules, link, self.measures, lambda: is_alive(target.silence), clock)

    def decide(self, fact: Fact, captured: float, now: float, encoder: Encoder | None) -> None:
        """Hand what the rules want done to the worker."""
        for rule in self.rules:
            if rule.fires(fact):
                self.worker.put(Job(rule, fact, captured, now, encoder))

    def skip(self, fact: Fact) -> None:
        """Count a verdict on which it would have acted, had the frame not been captured before the start."""
        if any(fact.outcome in rule.settings.verdicts for rule in self.rules):
            self.measures.count("old")


class RememberingTarget:
    """A target whose messages are kept on disk until it has them."""

    def __init__(
        self, target: TargetSettings, link: Link, settings: OutputSettings, metrics: Metrics, of: str | None
    ) -> None:
        assert settings.outbox is not None  # by its settings
        self._rules = compile_rules(target, of)
        self.measures = TargetMeasures(target.name, metrics)
        self._outbox = Outbox(settings.outbox, target.name, settings.outbox_messages)
        self.courier = Courier(target, self._outbox, link, self.measures)

    def keep(self, facts: Sequence[Fact]) -> None:
        """Keep what the rules want sent; it is on disk when this returns. Raises OutputError."""
        messages = [message for fact in facts for rule in self._rules if (message := _message(rule, fact)) is not None]
        self.measures.count("dropped", self._outbox.put(messages))


def _message(rule: Rule, fact: Fact) -> Message | None:
    return Message(rule.address.render(fact), rule.payload.render(fact), fact.id) if rule.fires(fact) else None


class Engine:
    """The actions of one service. `is_running`: whether it takes frames, or verdicts.

    `live`: frames are captured now; frames captured before the start are then not acted on. `of`: whether rules that do
    not say are about frames or parts, None for both. `start` begins. Raises
    UsageError for rules, files and addresses that cannot be used, InstallationError where a library is missing.
    """

    def __init__(
        self,
        settings: OutputSettings,
        metrics: Metrics,
        live: bool,
        is_running: Callable[[], bool],
        clock: Clock | None = None,
        open_link: Callable[[TargetSettings], Link] = make_link,
        of: str | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self._is_running = is_running
        self._live = live
        self._acts_on_verdict = settings.act_on == "verdict"
        self._alive_gauge = metrics.actions_alive
        self._pending = Pending(settings.action_deadline)
        self._deadline = settings.action_deadline
        self._started = self._clock.wall()
        self._last_frame = self._clock.monotonic()
        self._seconds_to_gate = _seconds_to_gate(settings.actions)
        self._settled_at = self._last_frame + self._seconds_to_gate
        self._encoders: dict[str, Encoder] = {}
        self._guard = threading.Lock()  # rules remember the last verdicts
        self._keep_guard = threading.Lock()  # as those of targets that remember, which wait for the disk
        self._closed = False
        self._acting: list[ActingTarget] = []
        self._remembering: list[RememberingTarget] = []
        try:
            for target in settings.actions:
                link = open_link(target)
                if target.remembers:
                    self._remembering.append(RememberingTarget(target, link, settings, metrics, of))
                else:
                    self._acting.append(ActingTarget(target, link, metrics, self.is_alive, self._clock, of))
                log.info("actions: %s, %s", target, "remembers" if target.remembers else "acts now")
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Work on threads. Without it, somebody calls `step` at each `next_moment`, as a simulated line does."""
        threading.Thread(target=self._watch_deadlines, name="action deadlines", daemon=True).start()
        for target in self._acting:
            target.worker.start()

    def step(self) -> None:
        """Do everything that is due."""
        self._act_on_late()
        for target in self._acting:
            target.worker.step()

    def next_moment(self) -> float:
        """When there is something to do next."""
        moments = [target.worker.next_moment() for target in self._acting]
        deadline = self._pending.next_deadline
        return min([*moments, *([] if deadline is None else [deadline])])

    @property
    def remembers(self) -> bool:
        """Whether there are targets that remember, for `keep`."""
        return bool(self._remembering)

    def is_alive(self, silence: float = 0.0) -> bool:
        """Whether the service takes frames and answers them in time, and the last is at most `silence` seconds old.

        Not yet while parts are on their way to the gate that passed the camera unseen, before the start or while no
        frames were taken.
        """
        now = self._clock.monotonic()
        running = self._is_running()
        if not running:
            self._settled_at = now + self._seconds_to_gate
        alive = running and not self._closed and now >= self._settled_at and not self._pending.has_overdue
        self._alive_gauge.set(alive)
        return alive and (silence <= 0 or now - self._last_frame <= silence)

    def expect(self, frame: Frame) -> None:
        """A frame was taken: from now on its verdict is waited for."""
        captured = self._captured(frame.captured_at)
        if captured is None:
            return
        self._last_frame = self._clock.monotonic()
        self._observe(frame, captured)
        self._pending.add(frame, captured)

    def decided(self, future: "Future[Inspection]") -> None:
        """A frame was inspected: what `Future.add_done_callback` calls. Never raises."""
        if self._acts_on_verdict and not future.cancelled() and future.exception() is None:
            inspection = future.result()
            self.decide(inspection.frame, inspection.verdict)

    def decide(self, frame: Frame, verdict: Verdict) -> None:
        """Act on a frame's verdict, unless it was acted on as late, or is older than the start. Never raises."""
        try:
            awaited = self._pending.pop(frame)
            fact = fact_of(verdict)
            if awaited is not None:
                self._decide(fact, awaited.captured)
            elif self._captured(frame.captured_at) is None:
                self._skip(fact)
        except Exception:
            log.exception("actions: a verdict could not be acted on")

    def decide_fact(self, fact: Fact) -> None:
        """Act on a verdict that came from a topic; one that comes after its deadline is late."""
        captured = self._captured(fact.captured_at)
        self._last_frame = self._clock.monotonic()
        if captured is None:
            self._skip(fact)
            return
        if self._clock.monotonic() > captured + self._deadline:
            fact = made_late(fact)
        if fact.encoder is not None:
            self._encoder(fact.camera).observe(captured, fact.encoder)
        self._decide(fact, captured)

    def keep(self, facts: Sequence[Fact]) -> None:
        """Keep the messages of targets that remember; they are on disk when this returns. Raises OutputError."""
        with self._keep_guard:
            for target in self._remembering:
                target.keep(facts)

    def act_on_part(self, fact: Fact) -> None:
        """Act on the verdict of a part that this service joined. Never raises: what is not kept is counted."""
        self.decide_fact(fact)
        try:
            self.keep([fact])
        except OutputError as error:
            log.error("actions: a part's messages are not kept: %s", error)
            for target in self._remembering:
                target.measures.count("failed")

    def close(self) -> None:
        """Finish the actions on their way, put outputs into their safe state, end the connections. Never raises."""
        threads: list[Worker | Courier] = [target.worker for target in self._acting]
        threads += [target.courier for target in self._remembering]
        for one in threads:
            one.begin_close()
        for one in threads:
            one.close()
        self._closed = True
        self._alive_gauge.set(0)
        self._pending.close()

    def _captured(self, captured_at: float) -> float | None:
        """A capture time on the monotonic clock, now at the latest; None for a frame from before the start."""
        now = self._clock.monotonic()
        if not self._live:
            return now
        if captured_at < self._started:
            return None
        return now - max(0.0, self._clock.wall() - captured_at)

    def _decide(self, fact: Fact, captured: float) -> None:
        now = self._clock.monotonic()
        encoder = self._encoders.get(fact.camera)
        with self._guard:
            for target in self._acting:
                target.decide(fact, captured, now, encoder)

    def _skip(self, fact: Fact) -> None:
        for target in self._acting:
            target.skip(fact)

    def _observe(self, frame: Frame, captured: float) -> None:
        if frame.part is not None and frame.part.encoder is not None:
            self._encoder(frame.camera).observe(captured, frame.part.encoder)

    def _encoder(self, camera: str) -> Encoder:
        if camera not in self._encoders and len(self._encoders) < MAX_ENCODERS:
            self._encoders[camera] = Encoder()
        return self._encoders.get(camera) or Encoder()

    def _watch_deadlines(self) -> None:
        while self._pending.wait(self._clock.monotonic):
            try:
                self._act_on_late()
            except Exception:
                log.exception("actions: a late frame could not be acted on")

    def _act_on_late(self) -> None:
        late = self._pending.take_overdue(self._clock.monotonic())
        for awaited in late:
            self._decide(late_fact(awaited.frame), awaited.captured)
        for target in self._acting if late else ():
            target.worker.wake()


def _seconds_to_gate(targets: Sequence[TargetSettings]) -> float:
    """The longest way from a camera to an action that the rules name, in seconds."""
    rules = [rule for target in targets if not target.remembers for rule in target.rules]
    return max((rule.after + rule.window for rule in rules if rule.after is not None), default=0.0)


class Remember:
    """A sink: keeps the messages of targets that remember, after the verdicts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Return once the messages are on disk. Raises OutputError."""
        self._engine.keep([fact_of(inspection.verdict) for inspection in inspections])

    def close(self, ending: Ending) -> None:
        """Does nothing: the engine is closed after all sinks."""


class ActOnAcknowledgement:
    """A sink: acts on verdicts once they are durable, where `output.act_on` wants that."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Hand the verdicts to the engine."""
        for inspection in inspections:
            self._engine.decide(inspection.frame, inspection.verdict)

    def close(self, ending: Ending) -> None:
        """Does nothing: the engine is closed after all sinks."""
