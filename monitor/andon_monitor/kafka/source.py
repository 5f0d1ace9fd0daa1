"""Frames of a topic, read as a member of a consumer group."""

from collections.abc import Iterable

from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.events import read_frames
from andon_monitor.kafka.group import GroupSource
from andon_monitor.kafka.records import Record


class KafkaSource(GroupSource[Frame]):
    """A live source of frames."""

    live = True
    length: int | None = None
    damage: str | None = None  # a record that cannot be read makes a frame with a rejection
    passed_over: str | None = None

    def read(self, record: Record) -> Iterable[tuple[Frame, bool]]:
        """The frames of a record."""
        frames = read_frames(record, self.reader.cluster, self.reader.topic_id, self.settings.part_headers)
        return ((frame, frame.more) for frame in frames)
