"""`andon-monitor replay`: a recording put back on the line, as it was or as if it were now."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.messages import Message, frame_message, recorded_message
from andon_monitor.kafka.publishing import POLL_SECONDS, Progress, send_frames
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.sources.base import Source, damage_of
from andon_monitor.sources.pacing import PacedSource
from andon_monitor.sources.selection import SelectedSource, Selection
from andon_monitor.sources.uri import open_source


@dataclass(frozen=True)
class Replay:
    """What to replay and how. `speed` is the factor to the tempo of capture, None for as fast as it goes.

    `loops`: how often, 0 for ever. With `now` frames are captured when they are sent, else when they were.
    """

    uri: str
    selection: Selection = field(default_factory=Selection)
    speed: float | None = 1.0
    loops: int = 1
    now: bool = False
    pending: int = 64


@dataclass
class Replayed:
    """What became of it: `damage` is one line about what is lost of the recording, None where nothing is."""

    progress: Progress
    damage: str | None


def replay(job: Replay, address: Address, settings: KafkaSettings) -> Replayed:
    """Send the frames with the bytes, keys and headers they were recorded with.

    Raises UsageError (no such recording, topic or camera), SourceError and OutputError.
    """
    damage: list[str] = []
    recording = open_source(job.uri)  # first: for a name that is wrong nobody should wait for brokers

    def message(frame: Frame, event_id: str) -> Message:
        return _message(frame, address, event_id, time.time() if job.now else None)

    progress = send_frames(_frames(job, recording, damage), message, address, settings, job.pending)
    return Replayed(progress, damage[0] if damage else None)


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
        found = damage_of(recording)
        if found is not None and not damage:
            damage.append(found)
        played += 1
        if played == job.loops:
            return
        recording = open_source(job.uri)


def _message(frame: Frame, address: Address, event_id: str, now: float | None) -> Message:
    if frame.key is None and not frame.headers:  # it was never in a topic
        return frame_message(frame if now is None else replace(frame, captured_at=now), address.topic, event_id)
    return recorded_message(frame, address.topic, now)
