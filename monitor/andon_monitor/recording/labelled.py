"""Frames with what the line knows of each: a good part, a kind of defect, or why neither can be said."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame, Outcome, parse_time
from andon_monitor.kafka.any_source import open_any_source
from andon_monitor.recording.frame_labels import Labels, label_of
from andon_monitor.recording.places import Place, parse_place, place_of
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.sources.base import Source
from andon_monitor.sources.folder import GOOD
from andon_monitor.sources.recording import is_recording, recorded_verdicts, recording_paths

POLL_FRAMES = 16
POLL_SECONDS = 0.5
GIVE_UP_SECONDS = 5.0  # on brokers that do not answer: somebody sits there and waits
LIVE_SCHEMES = ("rtsp:", "rtsps:", "http:", "https:", "camera:", "watch:")

# Why a frame neither shows a good part nor a known kind of defect.
CALLED_DEFECT = "called a defect by the line"
UNINSPECTABLE = "uninspectable on the line"
UNKNOWN = "without a label or verdict"
DAMAGED = "damaged"

FROM_GOOD_TO_WORST: tuple[Outcome, ...] = ("good", "uninspectable", "defect")

Knowledge = Literal["label", "verdict"]


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A frame, and `label`: "good" or a kind of defect, as its label says, else its verdict (`known_by`).

    Where neither says so, `label` is None and `left_out` is the reason.
    """

    frame: Frame
    label: str | None = None
    known_by: Knowledge | None = None
    left_out: str | None = None


class Verdicts:
    """The outcomes in recordings, by frame: its place, and its time, as a topic created again starts at 0.

    Of several verdicts on a frame the worst counts. `unreadable`: how many are not what andon-monitor writes.
    """

    def __init__(self) -> None:
        self._outcomes: dict[tuple[Place, int], Outcome] = {}
        self.unreadable = 0

    def add(self, line: bytes) -> None:
        """Add a verdict in JSON."""
        try:
            fields = json.loads(line)
            key = parse_place(fields["frame"]), _milliseconds(parse_time(fields["captured_at"]))
            rank = FROM_GOOD_TO_WORST.index(fields["verdict"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.unreadable += 1
            return
        before = self._outcomes.get(key)
        if before is None or FROM_GOOD_TO_WORST.index(before) < rank:
            self._outcomes[key] = FROM_GOOD_TO_WORST[rank]

    def of(self, frame: Frame) -> Outcome | None:
        """The verdict on a frame, None where there is none."""
        return self._outcomes.get((place_of(frame.position), _milliseconds(frame.captured_at)))


class LabelledSource:
    """The frames of a folder, recording, video or topic from its start to its present end, with their labels.

    `verdicts`: what `read_verdicts` found in all recordings that are read together. `labels`: those that a
    file gives. A label counts more than a verdict, and one of the file more than a recorded one.
    Raises UsageError: no such source, one without an end, one without frames.
    """

    def __init__(self, uri: str, kafka: KafkaSettings, verdicts: Verdicts, labels: Labels | None = None) -> None:
        if uri.lower().startswith(LIVE_SCHEMES):
            raise UsageError(
                f"{show_address(uri)}: a live source has no end; collect images from it first: andon-monitor collect"
            )
        self._verdicts = verdicts
        self._labels = labels or {}
        self._source: Source = open_any_source(
            uri, None, kafka, "earliest", until_end=True, give_up_after=GIVE_UP_SECONDS
        )
        self.length = self._source.length

    @property
    def damage(self) -> str | None:
        """What could not be read, on one line; complete after the last frame."""
        return self._source.damage

    def frames(self) -> Iterator[LabelledFrame]:
        """Every frame. Raises SourceError."""
        try:
            while (found := self._source.poll(POLL_FRAMES, POLL_SECONDS)) is not None:
                yield from map(self._labelled, found)
        finally:
            self._source.close()

    def _labelled(self, frame: Frame) -> LabelledFrame:
        if frame.rejection is not None:
            return LabelledFrame(frame, left_out=DAMAGED)
        if (label := label_of(frame, self._labels)) is not None:
            return LabelledFrame(frame, label, "label")
        match self._verdicts.of(frame):
            case "good":
                return LabelledFrame(frame, GOOD, "verdict")
            case "defect":
                return LabelledFrame(frame, left_out=CALLED_DEFECT)
            case "uninspectable":
                return LabelledFrame(frame, left_out=UNINSPECTABLE)
        return LabelledFrame(frame, left_out=UNKNOWN)


def read_verdicts(uris: Iterable[str]) -> Verdicts:
    """The verdicts in those of the sources that are recordings. Raises UsageError, SourceError."""
    found = Verdicts()
    for uri in uris:
        if is_recording(uri):
            for line in recorded_verdicts(recording_paths(Path(uri))):
                found.add(line)
    return found


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
