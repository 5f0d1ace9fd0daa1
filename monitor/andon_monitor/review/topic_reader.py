"""A topic of evidence, of verdicts or of parts, read into the store."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Literal

from andon_monitor.errors import AndonError, first_line
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.records import Record
from andon_monitor.kafka.tap import KafkaTap, Start
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import Progress
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics

Content = Literal["defects", "verdicts", "parts"]

POLL_SECONDS = 0.5
POLL_RECORDS: dict[Content, int] = {
    "defects": 16,
    "verdicts": 1000,
    "parts": 1000,
}  # packages have megabytes, verdicts 500 bytes
# An empty store gets the verdicts and parts of the last hour: curves and rates need no more.
FIRST_VERDICTS_SECONDS = 3600.0

log = logging.getLogger("andon")


class TopicReader:
    """Reads a topic into the store.

    The position is kept in the store, in the same transaction as what was read, so that a crash neither loses nor
    doubles anything. Messages that are not ours are skipped, logged and counted in
    `store.refused`.
    """

    def __init__(self, store: Store, content: Content, uri: str, settings: KafkaSettings) -> None:
        self._store = store
        self._content: Content = content
        self._uri = uri
        self._settings = settings
        self._name = uri  # of the topic in the table of progress

    def follow(self, closed: threading.Event) -> None:
        """Read from the position in the store on, until `closed`. Raises UsageError, SourceError, OutputError."""
        tap = KafkaTap(parse_address(self._uri), self._settings, Health(Metrics()), self._start)
        try:
            while not closed.is_set():
                records = tap.poll_records(POLL_RECORDS[self._content], POLL_SECONDS)
                self._name = self._name_of(tap.topic_id)
                self._keep(records or [])
        finally:
            tap.close()

    def _start(self, topic_id: str | None) -> Start:
        """Where the store left off in this topic; a topic that was deleted and created again is another one."""
        name = self._name_of(topic_id)
        # Stores of earlier versions have the name without the id.
        self._store.progress.rename(self._uri, name)
        offsets = self._store.progress.next_offsets(name)
        return time.time() - FIRST_VERDICTS_SECONDS if not offsets and self._content != "defects" else offsets

    def _name_of(self, topic_id: str | None) -> str:
        return self._uri if topic_id is None else f"{self._uri}#{topic_id}"

    def _keep(self, records: Sequence[Record]) -> None:
        if not records:
            return
        try:
            refused = self._add(records)
        except AndonError:
            raise
        except Exception as error:  # a fault of ours: the message that it comes from must not stop the others
            log.warning("reading %s: %s; trying each message alone", self._content, first_line(error), exc_info=error)
            refused = [line for record in records for line in self._add_alone(record)]
        if refused:
            self._store.refused[self._content] += len(refused)
        for line in refused[:1]:
            log.warning(
                "%d of %d messages of %s are refused, %d since the start: %s",
                len(refused), len(records), self._content, self._store.refused[self._content], line,
            )  # fmt: skip

    def _add(self, records: Sequence[Record]) -> list[str]:
        next_offsets = {record.partition: record.offset + 1 for record in records}
        progress = [Progress(self._name, partition, offset) for partition, offset in next_offsets.items()]
        values = [record.value or b"" for record in records]
        if self._content == "defects":
            return self._store.add(packages=values, progress=progress)
        if self._content == "parts":
            return self._store.add(parts=values, progress=progress)
        return self._store.add(verdicts=values, progress=progress)

    def _add_alone(self, record: Record) -> list[str]:
        """As `_add`; a message that cannot be kept is refused, and stepped over also after a restart."""
        try:
            return self._add([record])
        except AndonError:
            raise
        except Exception as error:
            self._store.add(progress=[Progress(self._name, record.partition, record.offset + 1)])
            return [f"partition {record.partition} offset {record.offset}: {type(error).__name__}: {first_line(error)}"]
