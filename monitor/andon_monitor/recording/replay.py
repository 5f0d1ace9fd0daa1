"""`andon-monitor replay`: the frames of a recording back into a topic, captured as recorded or now."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.messages import Message, frame_message, recorded_message
from andon_monitor.kafka.publishing import POLL_SECONDS, Published, send_frames
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.sources.base import Source
from andon_monitor.sources.pacing import PacedSource
from andon_monitor.sources.selection import SelectedSource, Selection
from andon_monitor.sources.uri import open_source


@dataclass(frozen=True)
class Replay:
    """What to replay and how.

    `speed`: how many times faster than captured, None for as fast as possible. `loops`: how often, 0 without end.
    `now`: frames are captured when they are sent; otherwise they keep their capture times. `pending`: frames sent and
    not acknowledged at once, at most.
    """

    uri: str
    selection: Selection = field(default_factory=Selection)
    speed: float | None = 1.0
    loops: int = 1
    now: bool = False
    pending: int = 64


@dataclass
class Replayed:
    """What was sent; `damage`: what of the recording could not be read, on one line, None where all could."""

    published: Published
    damage: str | None


def replay(job: Replay, address: Address, settings: KafkaSettings) -> Replayed:
    """Send the frames with the bytes, keys and headers they were recorded with.

    Raises UsageError (no such recording, topic or camera), SourceError and OutputError.
    """
    damage: list[str] = []
    recording = open_source(job.uri)  # first: nobody waits for brokers because of a wrong path

    def message(frame: Frame, event_id: str) -> Message:
        return _message(frame, address, event_id, time.time() if job.now else None)

    published = send_frames(_frames(job, recording, damage), message, address, settings, job.pending)
    return Replayed(published, damage[0] if damage else None)


def _frames(job: Replay, recording: Source, damage: list[str]) -> Iterator[Frame]:
    played = 0
    while True:
        selected = SelectedSource(recording, job.selection)
        source = selected if job.speed is None else PacedSource(selected, job.speed)
        try:
            while (frames := source.poll(1, POLL_SECONDS)) is not None:
                yield from frames
            selected.check()
        finally:
            source.close()
        if recording.damage is not None and not damage:
            damage.append(recording.damage)
        played += 1
        if played == job.loops:
            return
        recording = open_source(job.uri)


def _message(frame: Frame, address: Address, event_id: str, now: float | None) -> Message:
    if frame.key is None and not frame.headers:  # it does not come from a topic
        return frame_message(frame if now is None else replace(frame, captured_at=now), address.topic, event_id)
    return recorded_message(frame, address.topic, now)
