"""`andon-monitor bridge`: actions on the verdicts of a topic, of frames or of parts."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack

from andon_monitor.actions.engine import Engine
from andon_monitor.actions.facts import Fact, parse_fact
from andon_monitor.common.process import stopped_by_signals
from andon_monitor.common.redaction import show_address
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.kafka.address import Address, is_kafka, parse_address
from andon_monitor.kafka.group import RecordSource
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.records import Record
from andon_monitor.kafka.topics import must_exist
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.settings.groups import Settings
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.server import serve_metrics

GROUP_SUFFIX = "-bridge"  # of kafka.group_id
POLL_RECORDS = 500
POLL_SECONDS = 0.1
MAX_SILENT_SECONDS = 2.0  # after a poll that does not come back for so long, the heartbeat stops
RETRY_SECONDS = 1.0  # while the outbox cannot be written
REPEAT_LOG_SECONDS = 30.0

log = logging.getLogger("andon")


class BridgeService:
    """Reads verdicts as a consumer group of its own and acts on them, until SIGINT or SIGTERM.

    An offset is committed once the outboxes hold what follows from its record. A new group begins at the end.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._source: RecordSource | None = None
        self._polled_at = time.monotonic()
        self._unreadable_logged_at = -REPEAT_LOG_SECONDS
        self.metrics = Metrics()

    def is_ready(self) -> bool:
        """Whether partitions of the topic are assigned."""
        return self._source is not None and self._source.ready

    def run(self) -> None:
        """Act until a signal comes. Raises UsageError before the first verdict, SourceError later."""
        settings, metrics = self._settings, self.metrics
        address = topic_of(settings)
        with ExitStack() as stack:
            stack.enter_context(stopped_by_signals(self._stop.set))
            stack.enter_context(serve_metrics(settings.server, metrics, self.is_ready))
            must_exist(address, settings.kafka)
            health, watchdog = Health(metrics), Watchdog()
            stack.callback(watchdog.close)

            def is_running() -> bool:
                polls = time.monotonic() - self._polled_at < MAX_SILENT_SECONDS
                return self.is_ready() and health.answers and polls and not self._stop.is_set()

            engine = Engine(settings.output, metrics, True, is_running)
            stack.callback(engine.close)
            engine.start()
            own = {"group_id": settings.kafka.group_id + GROUP_SUFFIX, "start": "latest", "poll_records": POLL_RECORDS}
            source = RecordSource(address, settings.kafka.model_copy(update=own), metrics, health, watchdog)
            stack.callback(source.close)
            self._source = source
            log.info("bridge: verdicts of %s, for %d targets", address, len(settings.output.actions))
            while not self._stop.is_set():
                records = source.poll(POLL_RECORDS, POLL_SECONDS) or []
                self._polled_at = time.monotonic()
                metrics.ready.set(self.is_ready())
                if records and self._act(engine, records):
                    source.acknowledge(records)
            metrics.ready.set(False)

    def _act(self, engine: Engine, records: Sequence[Record]) -> bool:
        """Act on records; returns whether outboxes hold what they should, which only the end prevents."""
        facts = [fact for record in records if (fact := self._fact(record)) is not None]
        for fact in facts:
            engine.decide_fact(fact)
        while True:
            try:
                engine.keep(facts)
                return True
            except OutputError as error:
                log.error("bridge: %s; waiting", error)
                if self._stop.wait(RETRY_SECONDS):
                    return False

    def _fact(self, record: Record) -> Fact | None:
        """The verdict in a record, None where there is none; that is counted and logged."""
        try:
            if record.value is None:
                raise ValueError("no value")
            return parse_fact(record.value)
        except ValueError as error:
            self.metrics.kafka_unreadable_records.labels("content").inc()
            now = time.monotonic()
            if now - self._unreadable_logged_at >= REPEAT_LOG_SECONDS:
                self._unreadable_logged_at = now
                log.warning("bridge: partition %d offset %d is no verdict: %s", record.partition, record.offset, error)
            return None


def topic_of(settings: Settings) -> Address:
    """The topic of verdicts to act on. Raises UsageError for settings that cannot work."""
    uri = settings.source.uri
    if uri is None or not is_kafka(uri):
        raise UsageError(
            f"source.uri: {show_address(uri or 'not given')}: give --source kafka://host:port/topic, the topic of "
            "verdicts to act on, such as andon.verdicts or andon.parts"
        )
    if not settings.output.actions:
        raise UsageError("output.actions: not given; the bridge has nothing to do")
    return parse_address(uri)
