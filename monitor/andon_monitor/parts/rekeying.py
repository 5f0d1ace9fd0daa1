"""Verdicts from the topic of verdicts into the topic of views, where all views of a part are in one partition.

Each view says where its verdict was, by which a second delivery is recognised: at least once is enough here. Now and
then every partition of views is told how far verdicts have been read. That record decides time-outs, so that a replay
of the topic of views decides alike.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from andon_monitor.errors import first_line
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.delivery import Delivery
from andon_monitor.kafka.group import RecordSource
from andon_monitor.kafka.messages import Message
from andon_monitor.kafka.records import Record
from andon_monitor.parts.measuring import PartMeasures
from andon_monitor.parts.messages import Origin, Read, ReadTo, read_message, view_message
from andon_monitor.parts.views import read_view

POLL_RECORDS = 500
POLL_SECONDS = 0.1
# How often partitions are told how far verdicts have been read: a part is closed that much too late at most.
TELLS_IN_TIMEOUT = 10
MIN_TELL_SECONDS, MAX_TELL_SECONDS = 0.2, 10.0
LOG_SECONDS = 30.0  # between two lines of the log about records that are no verdicts

log = logging.getLogger("andon")


@dataclass
class _Place:
    """The last record polled of a partition, and when, by the monotonic clock."""

    offset: int
    time: int
    polled_at: float


class Rekeyer:
    """`partitions`: of the topic of views. `timeout` in seconds."""

    def __init__(
        self,
        source: RecordSource,
        views: Address,
        delivery: Delivery,
        partitions: int,
        timeout: float,
        measures: PartMeasures,
    ) -> None:
        self._source = source
        self._topic = views.topic
        self._delivery = delivery
        self._partitions = partitions
        self._interval = min(max(timeout / TELLS_IN_TIMEOUT, MIN_TELL_SECONDS), MAX_TELL_SECONDS)
        self._timeout = timeout
        self._measures = measures
        self._places: dict[int, _Place] = {}
        self._since: dict[int, float] = {}  # when a partition of ours was first seen as one
        self._told_at = time.monotonic()
        self._logged_at = -LOG_SECONDS

    def step(self) -> None:
        """Poll once and send on what came. Raises SourceError."""
        records = self._source.poll(POLL_RECORDS, POLL_SECONDS) or []
        count = self._source.partition_count()
        messages = [message for record in records if (message := self._view(record, count)) is not None]
        now = time.monotonic()
        for record in records:
            self._places[record.partition] = _Place(record.offset, max(0, record.timestamp), now)
        if now - self._told_at >= self._interval:
            messages += self._tell(now, count)
            self._told_at = now
        self._delivery.send(messages)
        self._source.acknowledge(records)

    def _view(self, record: Record, count: int) -> Message | None:
        try:
            if record.problem is not None:
                raise ValueError(record.problem.detail)
            value = record.value or b""
            view = read_view(value, record.timestamp)
        except ValueError as error:
            self._measures.view("unreadable")
            now = time.monotonic()
            if now - self._logged_at >= LOG_SECONDS:
                self._logged_at = now
                log.warning(
                    "parts: partition %d offset %d is no verdict (%s)",
                    *(record.partition, record.offset, first_line(error)),
                )
            return None
        if view is None:
            self._measures.view("no_part")
            return None
        count = max(count, record.partition + 1)
        origin = Origin(self._source.topic_id or "", count, record.partition, record.offset, view.time)
        return view_message(view.part, origin, value, record.headers, self._topic)

    def _tell(self, now: float, count: int) -> Sequence[Message]:
        """How far our partitions have been read.

        One that has no more records goes by the clock from its last one on. After a time-out without any it holds
        nothing up: its last record may have been from another time.
        """
        ends = self._source.caught_up()
        places: dict[int, Read] = {}
        ours = {partition.partition for partition in self._source.ledger.partitions}
        # What another member has read meanwhile is not known here.
        self._since = {number: self._since.get(number, now) for number in ours}
        self._places = {number: place for number, place in self._places.items() if number in ours}
        for number in ours:
            place, end = self._places.get(number), ends.get(number)
            quiet = now - max(self._since[number], place.polled_at if place is not None else 0.0)
            if end is not None and quiet >= self._timeout:
                places[number] = Read(end - 1, None, 0)
            elif place is not None:
                idle = round(1000 * quiet) if end is not None and quiet >= self._interval else 0
                places[number] = Read(place.offset if end is None else end - 1, place.time, idle)
        if not places:
            return []
        read = ReadTo(self._source.topic_id or "", max(count, max(places) + 1), places)
        return [read_message(read, self._topic, partition) for partition in range(self._partitions)]
