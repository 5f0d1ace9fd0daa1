"""`andon-monitor parts`: verdicts from a topic, joined to verdicts of parts in another one."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from andon_monitor.common.process import stopped_by_signals
from andon_monitor.common.redaction import show_address
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import Address, is_kafka, parse_address
from andon_monitor.kafka.changelog import Changelog
from andon_monitor.kafka.delivery import Delivery
from andon_monitor.kafka.group import RecordSource
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.topics import STATE_SUFFIX, VIEWS_SUFFIX, count_partitions, must_exist, must_have_as_many
from andon_monitor.kafka.transactions import Transactions
from andon_monitor.kafka.watchdog import Watchdog
from andon_monitor.parts import joining, rekeying
from andon_monitor.parts.joining import PartitionJoiner
from andon_monitor.parts.measuring import PartMeasures
from andon_monitor.parts.rekeying import Rekeyer
from andon_monitor.parts.verdict import Rules
from andon_monitor.settings.groups import KafkaSettings, Settings
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.server import serve_metrics

GROUP_SUFFIX, VIEWS_GROUP_SUFFIX = "-parts", "-parts-views"  # of kafka.group_id

log = logging.getLogger("andon")


class PartService:
    """Both halves of the work, each on a thread and in a consumer group of its own, until SIGINT or SIGTERM."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._sources: list[RecordSource] = []
        self.metrics = Metrics()

    def is_ready(self) -> bool:
        """Whether partitions of both topics are assigned."""
        return len(self._sources) == 2 and all(source.ready for source in self._sources)

    def run(self) -> None:
        """Join until a signal comes. Raises UsageError before the first verdict, SourceError and OutputError later."""
        settings, metrics = self._settings, self.metrics
        verdicts, output = addresses(settings)
        views, state = output.with_topic(output.topic + VIEWS_SUFFIX), output.with_topic(output.topic + STATE_SUFFIX)
        measures, rules = PartMeasures(metrics, settings.parts), Rules.from_settings(settings.parts)
        with ExitStack() as stack:
            stack.enter_context(stopped_by_signals(self._stop.set))
            stack.enter_context(serve_metrics(settings.server, metrics, self.is_ready))
            for address in (verdicts, output):
                must_exist(address, settings.kafka)
            partitions = _count_views(views, state, settings.kafka)
            health, watchdog = Health(metrics), Watchdog()
            stack.callback(watchdog.close)

            def open_source(address: Address, suffix: str, records: int, commits: bool) -> RecordSource:
                kafka = _kafka(settings.kafka, suffix, records)
                source = RecordSource(address, kafka, metrics, health, watchdog, commits=commits)
                stack.callback(source.close)
                self._sources.append(source)
                return source

            verdict_source = open_source(verdicts, GROUP_SUFFIX, rekeying.POLL_RECORDS, commits=True)
            delivery = Delivery(views, settings.kafka, health)
            stack.callback(delivery.close)
            rekeyer = Rekeyer(verdict_source, views, delivery, partitions, settings.parts.timeout, measures)

            kafka = _kafka(settings.kafka, VIEWS_GROUP_SUFFIX, joining.POLL_RECORDS)
            view_source = open_source(views, VIEWS_GROUP_SUFFIX, joining.POLL_RECORDS, commits=False)
            transactions = Transactions(output, view_source, kafka, health, watchdog)
            stack.callback(transactions.close)
            changelog = Changelog(state, kafka, health)
            joiner = PartitionJoiner(view_source, output, state, changelog, transactions, rules, measures)
            log.info("parts: verdicts of %s, views of %s, to %s", verdicts, views.topic, output)
            self._work({"rekeying": rekeyer.step, "joining": joiner.step}, watchdog)
        if self._failure is not None:
            raise self._failure

    def _work(self, steps: dict[str, Callable[[], Any]], watchdog: Watchdog) -> None:
        threads = [threading.Thread(target=self._repeat, args=(step,), name=name) for name, step in steps.items()]
        for thread in threads:
            thread.start()
        self._stop.wait()
        watchdog.set("finishing the views in flight", self._settings.kafka.drain_timeout)
        for thread in threads:
            thread.join()
        self.metrics.ready.set(False)

    def _repeat(self, step: Callable[[], Any]) -> None:
        try:
            while not self._stop.is_set():
                step()
                self.metrics.ready.set(self.is_ready())
        except BaseException as error:
            self._failure = self._failure or error
            self._stop.set()


def addresses(settings: Settings) -> tuple[Address, Address]:
    """The topics of verdicts and of parts. Raises UsageError for settings that cannot work."""
    verdicts, output = settings.output.verdicts, settings.output.parts
    if not is_kafka(verdicts):
        raise UsageError(
            f"output.verdicts: {show_address(verdicts)}: give --verdicts kafka://host:port/topic, the topic to join; "
            "without Kafka, run writes output.parts itself"
        )
    if output is None or not is_kafka(output):
        raise UsageError(f"output.parts: {show_address(output or 'not given')}: give --parts kafka://host:port/topic")
    if not settings.parts.views:
        raise UsageError("parts.views: not given; right are the views of each product, such as {'*': [top, left]}")
    return parse_address(verdicts), parse_address(output)


def _count_views(views: Address, state: Address, settings: KafkaSettings) -> int:
    """The number of partitions of views, which the state has, too. Raises UsageError."""
    view_partitions, state_partitions = (count_partitions(address, settings) for address in (views, state))
    if view_partitions is None or state_partitions is None:
        raise UsageError(f"{views}: the brokers do not say how many partitions it has; do they answer?")
    must_have_as_many(views, view_partitions, state, state_partitions)
    return view_partitions


def _kafka(settings: KafkaSettings, suffix: str, records: int) -> KafkaSettings:
    """Settings of a group of its own, for many small records."""
    return settings.model_copy(update={"group_id": settings.group_id + suffix, "poll_records": records})
