"""`andon-monitor run`: one run from its first frame to its summary."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from andon_monitor.common.process import stopped_by_signals
from andon_monitor.recipes.library import Library
from andon_monitor.run.assembly import (
    action_sinks,
    check_parts,
    open_actions,
    open_kafka,
    open_model_topic,
    open_parts,
    open_shadow,
    open_sinks,
    open_source,
)
from andon_monitor.run.hot_swap import Swapper
from andon_monitor.run.pipeline import Pipeline, PipelineLimits
from andon_monitor.run.side_outputs import Guarded, SideOutput
from andon_monitor.settings.groups import Settings
from andon_monitor.sinks.base import Sink
from andon_monitor.sinks.summary import Summary
from andon_monitor.sources.base import Source
from andon_monitor.statistics.charts import ControlCharts
from andon_monitor.statistics.frozen import FrozenPictures
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.server import serve_metrics

if TYPE_CHECKING:
    from andon_monitor.kafka.endpoints import Kafka

log = logging.getLogger("andon")


class Service:
    """One run. `watchers` are further sinks, such as a progress bar."""

    def __init__(self, settings: Settings, watchers: Sequence[Sink] = ()) -> None:
        self._settings = settings
        self._watchers = watchers
        self._pipeline: Pipeline | None = None
        self._stopped = False
        self.metrics = Metrics()

    def is_ready(self) -> bool:
        """Whether the model is verified and the source is being read."""
        return self._pipeline is not None and self._pipeline.running

    def run(self) -> Summary:
        """Inspect the source's frames until it ends, or until SIGINT or SIGTERM; then frames in flight are finished.

        Raises UsageError and ModelError before the first frame, SourceError and OutputError after it.
        """
        settings, metrics = self._settings, self.metrics
        check_parts(settings)
        with ExitStack() as stack:
            stack.enter_context(serve_metrics(settings.server, metrics, self.is_ready))
            kafka = open_kafka(settings, metrics)
            if kafka is not None:
                stack.callback(kafka.close)
            library = Library.open(settings, metrics)  # before a camera sends frames, or a group gives partitions
            stack.callback(library.close)
            source = open_source(settings, kafka, metrics)
            stack.callback(source.close)
            library.patience = settings.model.load_wait if source.live else None
            self._announce(library, source)
            charts = ControlCharts(settings.statistics, library.inspectors(), metrics)
            library.accept = charts.follow
            frozen = FrozenPictures(settings.statistics, metrics)
            rates = {inspector.false_alarm_rate for inspector in library.inspectors()}
            summary = Summary(rates.pop() if len(rates) == 1 and len(library.table.recipes) == 1 else None)
            shadow = open_shadow(settings, library.table, metrics)
            observers: list[Sink] = [
                *(Guarded("progress", watcher, metrics) for watcher in self._watchers),
                *(Guarded("shadow", sink, metrics) for sink in shadow),
                SideOutput("charts", charts, metrics, settings.output.patience),
                Guarded("frozen", frozen, metrics),
                Guarded("summary", summary, metrics),
            ]
            engine = stack.enter_context(open_actions(settings, metrics, source.live, partial(self._answers, kafka)))
            parts = open_parts(settings, metrics, source.live, engine)
            followers = [*action_sinks(engine, settings, metrics), *([] if parts is None else [parts])]
            sinks = stack.enter_context(
                open_sinks(settings, kafka, metrics, source.live, followers, observers, lambda: self._stopped)
            )
            pipeline = Pipeline(source, library, sinks, metrics, PipelineLimits.from_settings(settings), engine)
            self._pipeline = pipeline
            if source.live and settings.model.watch > 0:
                swapper = Swapper(library, settings.model.watch, metrics)
                stack.callback(swapper.close)
                swapper.start()
                if settings.model.topic is not None:
                    topic = open_model_topic(settings)
                    stack.callback(topic.close)
                    topic.start()

            def stop() -> None:
                if kafka is not None:
                    kafka.draining()
                pipeline.stop()

            with stopped_by_signals(stop):
                pipeline.run()
            if pipeline.stopped:
                self._stopped = True
                log.info("stopped by a signal; all frames in flight are finished")
            summary.stopped = pipeline.stopped and not source.live
            summary.damage, summary.passed_over = source.damage, source.passed_over
        summary.parts = None if parts is None else parts.counts
        if settings.output.summary is not None:
            summary.save(settings.output.summary)
        return summary

    def _answers(self, kafka: "Kafka | None") -> bool:
        """Whether frames are taken, and their verdicts can be written: what heartbeats show."""
        pipeline = self._pipeline
        return (
            pipeline is not None
            and pipeline.running
            and pipeline.blocked_seconds < self._settings.output.action_deadline
            and (kafka is None or kafka.answers)
        )

    def _announce(self, library: Library, source: Source) -> None:
        settings = self._settings
        source_settings = settings.source
        self.metrics.expect(
            source_settings.cameras, source_settings.silence, settings.inspection.takt, source_settings.products
        )
        for inspector in library.inspectors():
            model = inspector.model
            if model.fell_back:
                log.warning("provider %s: not available here, running on %s", settings.model.provider, model.provider)
            log.info(
                "model %s %s on %s, threshold %.4g for %.3g %% false alarms",
                inspector.alias,
                model.sha256[:12],
                model.provider,
                inspector.threshold(""),
                100 * inspector.false_alarm_rate,
            )
        log.info("source %s%s", source.name, "" if source.length is None else f", {source.length} frames")
