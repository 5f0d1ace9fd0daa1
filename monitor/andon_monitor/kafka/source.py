"""Frames of a topic, read as a member of a consumer group."""

from collections.abc import Iterable

from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.events import read_frames
from andon_monitor.kafka.group import GroupSource
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.records import Record
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics


class KafkaSource(GroupSource[Frame]):
    """A live source of frames."""

    live = True
    length: int | None = None
    damage: str | None = None  # a record that cannot be read makes a frame with a rejection
    passed_over: str | None = None

    def __init__(
        self,
        address: Address,
        settings: KafkaSettings,
        metrics: Metrics,
        health: Health,
        watchdog: Watchdog,
        commits: bool = True,
    ) -> None:
        super().__init__(address, settings, metrics, health, watchdog, commits)
        self._part_headers = settings.part_headers

    def read(self, record: Record) -> Iterable[tuple[Frame, bool]]:
        """The frames of a record."""
        frames = read_frames(record, self.reader.cluster, self.reader.topic_id, self._part_headers)
        return ((frame, frame.more) for frame in frames)
