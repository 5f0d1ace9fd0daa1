"""`andon-monitor run`: everything put together from the settings, and taken apart again."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from andon_monitor.common.process import stopped_by_signals
from andon_monitor.errors import UsageError
from andon_monitor.evidence.sink import Destination, EvidenceSink
from andon_monitor.inspection.inspector import Inspector, Rules
from andon_monitor.kafka.address import is_kafka
from andon_monitor.model.file import Model
from andon_monitor.run.hot_swap import Swapper
from andon_monitor.run.pipeline import Limits, Pipeline
from andon_monitor.run.shadow import Shadow
from andon_monitor.run.workers import Batching
from andon_monitor.settings.groups import Settings
from andon_monitor.sinks.base import Sink
from andon_monitor.sinks.dead_letters import DeadLetterFolder
from andon_monitor.sinks.history import History
from andon_monitor.sinks.log import UninspectableLog
from andon_monitor.sinks.summary import Summary
from andon_monitor.sinks.uri import open_sink
from andon_monitor.sources.base import Source, damage_of
from andon_monitor.sources.pacing import PacedSource
from andon_monitor.sources.uri import open_source
from andon_monitor.statistics.charts import ControlCharts
from andon_monitor.statistics.frozen import FrozenPictures
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.server import open_server

if TYPE_CHECKING:
    from andon_monitor.kafka.endpoints import Kafka

log = logging.getLogger("andon")


class Service:
    """One run. `ready` is true from the moment frames are taken until the source ends or a signal comes."""

    def __init__(self, settings: Settings, watchers: Sequence[Sink] = ()) -> None:
        self._settings = settings
        self._watchers = watchers
        self._pipeline: Pipeline | None = None
        self._kafka: Kafka | None = None
        self.metrics = Metrics()

    def is_ready(self) -> bool:
        """Whether the model is verified and the source is being read."""
        return self._pipeline is not None and self._pipeline.running

    def run(self) -> Summary:
        """Inspect the source's frames until it ends, or SIGINT or SIGTERM comes and what is in flight is finished.

        Raises UsageError and ModelError before the first frame, SourceError and OutputError after it.
        """
        settings = self._settings
        with ExitStack() as stack:
            if settings.server.enabled:
                server = open_server(settings.server, self.metrics.registry, self.is_ready)
                stack.callback(server.close)
                server.start()
                log.info("metrics at %s/metrics", server.url)
            kafka = self._kafka = open_kafka(settings, self.metrics)
            if kafka is not None:
                stack.callback(kafka.close)
            source = open_configured(settings, kafka)
            stack.callback(source.close)
            inspector = Inspector(load_model(settings), rules(settings))
            self._announce(inspector, source)
            charts = ControlCharts(settings.statistics, inspector.model, self.metrics)
            frozen = FrozenPictures(settings.statistics, self.metrics)
            summary = Summary(inspector.model.card.calibration.false_alarm_rate)
            shadow = open_shadow(settings, self.metrics)
            sinks = stack.enter_context(self._sinks(source.live, [*shadow, charts, frozen, summary]))
            pipeline = self._pipeline = Pipeline(source, inspector, sinks, self.metrics, limits(settings))
            if source.live and settings.model.watch > 0:
                swapper = Swapper(settings, pipeline, self.metrics, charts.follow)
                stack.callback(swapper.close)
                swapper.start()

            def stop() -> None:
                if kafka is not None:
                    kafka.draining()
                pipeline.stop()

            with stopped_by_signals(stop):
                self._pipeline.run()
            if self._pipeline.stopped:
                log.info("stopped by a signal; what was in flight is finished")
            summary.damage = damage_of(source)
        if settings.output.summary is not None:
            summary.save(settings.output.summary)
        return summary

    @contextmanager
    def _sinks(self, live: bool, observers: Sequence[Sink]) -> Iterator[list[Sink]]:
        """Dead letters before verdicts: a verdict promises that the frame has been kept.

        Evidence after them, for it takes time; but under exactly-once the verdicts take the frame's offset with them.
        """
        output = self._settings.output
        sinks: list[Sink] = []
        complete = False
        try:
            letters = self._open_dead_letters()
            if letters is not None:
                sinks.append(letters)
            evidence = self._open_evidence()
            if self._kafka is not None and self._kafka.exactly_once:
                sinks += evidence
            if self._kafka is not None and is_kafka(output.verdicts):
                sinks.append(self._kafka.open_verdicts(output.verdicts))
            else:
                sinks.append(open_sink(output.verdicts, append=live))
            sinks += [sink for sink in evidence if sink not in sinks]
            if output.history is not None:
                sinks.append(History(output.history, self._settings.model.provider))
            sinks += [UninspectableLog(time.monotonic), *self._watchers, *observers]
            yield sinks
            complete = True
        finally:
            for sink in sinks:
                sink.close(complete)

    def _open_dead_letters(self) -> Sink | None:
        target = self._settings.output.dead_letters
        if self._kafka is not None:
            target = self._kafka.dead_letters
            if self._kafka.exactly_once:
                return None  # they are written in the verdicts' transactions
            if target is not None and is_kafka(target):
                return self._kafka.open_dead_letters(target)
        if target is None:
            return None
        return DeadLetterFolder(Path(target), lambda reason: self.metrics.dead_letters.labels(reason).inc())

    def _open_evidence(self) -> list[Sink]:
        target = self._settings.output.evidence
        if target is None:
            return []
        destination: Destination
        if self._kafka is not None and is_kafka(target):
            destination = self._kafka.open_evidence(target)
        else:
            from andon_monitor.review.filling import StoreDestination

            destination = StoreDestination(Path(target), self._settings.review)
        return [EvidenceSink(destination, self._settings.evidence, self.metrics)]

    def _announce(self, inspector: Inspector, source: Source) -> None:
        model = inspector.model
        source_settings = self._settings.source
        self.metrics.expect(source_settings.cameras, source_settings.silence, self._settings.inspection.takt)
        self.metrics.use_model(model, inspector.alias)
        if model.fell_back:
            log.warning("provider %s: not to be had here, running on %s", self._settings.model.provider, model.provider)
        log.info(
            "model %s %s on %s, threshold %.4g for %.3g %% false alarms",
            inspector.alias,
            model.sha256[:12],
            model.provider,
            model.card.threshold,
            100 * model.card.calibration.false_alarm_rate,
        )
        log.info("source %s%s", source.name, "" if source.length is None else f", {source.length} frames")


def load_model(settings: Settings) -> Model:
    """The model that the settings name. Raises UsageError, ModelError."""
    path = settings.model.path
    if path is None:
        raise UsageError("model.path: not given; give --model part.onnx, as andon-trainer fit makes it")
    return Model.load(path, settings.model.provider, settings.model.threads)


def open_shadow(settings: Settings, metrics: Metrics) -> list[Shadow]:
    """The shadow that the settings name, if any. Raises UsageError, ModelError."""
    path = settings.shadow.path
    if path is None:
        return []
    model = Model.load(path, settings.model.provider, 1)
    inspector = Inspector(model, replace(rules(settings), alias=settings.shadow.alias, thresholds={}))
    log.info(
        "shadow %s %s, threshold %.4g, with at most %.0f %% of one core",
        inspector.alias,
        model.sha256[:12],
        model.card.threshold,
        100 * settings.shadow.budget,
    )
    return [Shadow(inspector, metrics, settings.shadow.budget, settings.shadow.pending)]


def on_kafka(settings: Settings) -> bool:
    """Whether anything in these settings has to do with Kafka."""
    output = settings.output
    named = (settings.source.uri, output.verdicts, output.dead_letters, output.evidence)
    return settings.kafka.delivery != "at-least-once" or any(is_kafka(uri) for uri in named if uri)


def open_kafka(settings: Settings, metrics: Metrics) -> "Kafka | None":
    """What source and sinks on Kafka share, None where there are none: a folder needs no Kafka client."""
    if not on_kafka(settings):
        return None
    from andon_monitor.kafka.endpoints import Kafka

    return Kafka(settings, metrics)


def open_configured(settings: Settings, kafka: "Kafka | None" = None) -> Source:
    """The source that the settings name. Raises UsageError."""
    uri = settings.source.uri
    if uri is None:
        raise UsageError("source.uri: not given; give --source, a folder of images, a video file or a camera")
    if kafka is not None and is_kafka(uri):
        return kafka.open_source(uri)
    source = open_source(uri, settings.source.camera)
    return PacedSource(source) if settings.source.pace == "recorded" and not source.live else source


def rules(settings: Settings) -> Rules:
    """The operator's rules among the settings."""
    inspection = settings.inspection
    return Rules(
        alias=settings.model.alias,
        thresholds=inspection.thresholds,
        too_dark=inspection.too_dark,
        too_blurred=inspection.too_blurred,
        max_pixels=inspection.max_pixels,
        max_staleness=inspection.max_staleness,
    )


def limits(settings: Settings) -> Limits:
    """The bounds among the settings."""
    inspection = settings.inspection
    return Limits(
        threads=settings.model.threads,
        batching=Batching(inspection.batch_size, inspection.batch_wait),
        in_flight=inspection.in_flight,
        in_flight_bytes=inspection.in_flight_bytes,
    )


def written_paths(settings: Settings) -> dict[str, Path]:
    """The files that a run will write, by setting; a folder is there as a file in it."""
    output = settings.output
    paths = {} if output.verdicts == "-" or "://" in output.verdicts else {"output.verdicts": Path(output.verdicts)}
    if output.dead_letters is not None and not is_kafka(output.dead_letters):
        paths["output.dead_letters"] = Path(output.dead_letters) / "letter.json"
    if output.evidence is not None and not is_kafka(output.evidence):
        paths["output.evidence"] = Path(output.evidence) / "review.sqlite"
    if output.history is not None:
        paths["output.history"] = output.history / "history.andon"
    if output.summary is not None:
        paths["output.summary"] = output.summary
    if settings.statistics.state_file is not None:
        paths["statistics.state_file"] = settings.statistics.state_file
    return paths
