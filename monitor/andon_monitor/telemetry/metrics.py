"""The metrics of `telemetry.catalogue`, built on a registry of their own, and what moves them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from andon_monitor.inspection.frames import OUTCOMES, REASONS, Frame, Verdict
from andon_monitor.inspection.inspector import Inspection, Inspector
from andon_monitor.model.runtime import onnxruntime
from andon_monitor.telemetry.catalogue import CATALOGUE, SIGNALS, SWAP_RESULTS, Metric

# Camera names come from messages: a stream of invented names must not fill the memory or Prometheus.
MAX_CAMERAS = 1000
OTHER_CAMERAS = "other"
OTHER_PRODUCTS = "other"  # frames without a product, too

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` series beside each counter would double what is scraped


class Metrics:
    """The metrics of one monitor, all of the catalogue but the shadow's. A test holds these types to it.

    A camera's series exist from its first frame on, at zero. MAX_CAMERAS cameras have series of their own, all others
    share `OTHER_CAMERAS`.
    """

    frames: Counter
    verdicts: Counter
    defect_kinds: Counter
    uninspectable: Counter
    dead_letters: Counter
    part_cuts: Counter
    product_verdicts: Counter
    score_ratio: Histogram
    threshold: Gauge
    last_frame_timestamp_seconds: Gauge
    model_last_frame_timestamp_seconds: Gauge
    last_defect_timestamp_seconds: Gauge
    decode_seconds: Histogram
    queue_wait_seconds: Histogram
    inference_seconds: Histogram
    batch_size: Histogram
    publish_seconds: Histogram
    end_to_end_seconds: Histogram
    in_flight_frames: Gauge
    in_flight_bytes: Gauge
    ready: Gauge
    model: Info
    provider: Info
    false_alarm_rate: Gauge
    model_swaps: Counter
    model_refused: Gauge
    model_openings: Counter
    models_open: Gauge
    models_bytes: Gauge
    models_limit_bytes: Gauge
    build: Info
    silence_seconds: Gauge
    takt_seconds: Gauge
    http_refused: Counter
    parts: Counter
    incomplete_parts: Counter
    part_corrections: Counter
    part_views: Counter
    part_missing_views: Counter
    part_overflows: Counter
    actions: Counter
    action_seconds: Histogram
    capture_to_action_seconds: Histogram
    action_target_up: Gauge
    action_waiting: Gauge
    actions_alive: Gauge
    open_parts: Gauge
    source_up: Gauge
    source_outages: Counter
    source_missing_frames: Counter
    source_lost_packets: Counter
    source_dropped_frames: Counter
    source_time_steps_back: Counter
    kafka_up: Gauge
    kafka_outages: Counter
    rebalances: Counter
    assigned_partitions: Gauge
    relinquished_frames: Counter
    kafka_unreadable_records: Counter
    kafka_expired_records: Counter
    kafka_position_resets: Counter
    consumer_lag_records: Gauge
    evidence: Counter
    evidence_skipped: Counter
    output_lost_frames: Counter
    output_up: Gauge
    defect_cusum: Gauge
    defect_cusum_limit: Gauge
    drift_score: Gauge
    drift_limit: Gauge
    repeated_frames: Gauge
    repeated_frames_limit: Gauge

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        for metric in CATALOGUE:
            if metric.component != "shadow":
                setattr(self, metric.attribute, build_metric(metric, registry))
        self.kafka_up.set(math.nan)
        self.source_up.set(math.nan)
        for limit in (self.defect_cusum_limit, self.drift_limit, self.repeated_frames_limit):
            limit.set(math.nan)  # of a process that inspects nothing: 0 would be the lowest limit of the line
        self.build.info({"version": version("andon"), "onnxruntime": onnxruntime.__version__})
        self._cameras: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()  # camera and model
        self._kinds: dict[str, tuple[str, ...]] = {}  # of defects, by alias of the model
        self._only: str | None = None  # alias of the model that inspects every camera
        self._products: frozenset[str] = frozenset()

    def expect(self, cameras: Sequence[str], silence: float, takt: float, products: Sequence[str] = ()) -> None:
        """Facts about the line from the settings: expected cameras, times in seconds, products to count verdicts of."""
        self._products = frozenset(products)
        for product in (*products, OTHER_PRODUCTS) if products else ():
            for outcome in OUTCOMES:
                self.product_verdicts.labels(product, outcome)
        self.silence_seconds.set(silence)
        self.takt_seconds.set(takt)
        for camera in cameras:
            self._series(camera)

    def use_limits(self, cusum: float, drift: float) -> None:
        """Show the limits of the control charts."""
        self.defect_cusum_limit.set(cusum)
        self.drift_limit.set(drift)

    def use_model(self, inspector: Inspector, instead_of: Inspector | None = None) -> None:
        """Show a model in use and its execution provider; a model that it replaces goes if it had another alias."""
        model, alias, card = inspector.model, inspector.alias, inspector.model.card
        if instead_of is not None and instead_of.alias != alias:
            self.forget_model(instead_of.alias)
        self._kinds[alias] = model.kinds
        self.false_alarm_rate.labels(alias).set(inspector.false_alarm_rate)
        if inspector.rules.recipe is None:
            self._only = alias
            for camera in tuple(self._cameras):  # a copy: a hot swap runs in another thread than frames
                self._pair(camera, alias)
        self.model.labels(alias).info(
            {
                "recipe": inspector.rules.recipe or "",
                "sha256": model.sha256,
                "method": card.calibration.method,
                "false_alarm_rate": f"{inspector.false_alarm_rate:g}",
                "created_at": card.created_at.isoformat(timespec="seconds"),
            }
        )
        self.provider.info({"provider": model.provider, "fallback": str(model.fell_back).lower()})
        for result in SWAP_RESULTS:
            self.model_swaps.labels(alias, result)

    def forget_model(self, alias: str) -> None:
        """Remove what is shown of a model that is no longer in use; histograms and counters of its frames stay."""
        self.close_model(alias)
        for metric in (self.false_alarm_rate, self.model_refused):
            with suppress(KeyError):
                metric.remove(alias)

    def close_model(self, alias: str) -> None:
        """Remove a model from those in use, until it is opened again."""
        with suppress(KeyError):
            self.model.remove(alias)

    def forget_charts(self, alias: str) -> None:
        """Remove what is shown of the frames that a model inspected, once no more of them come."""
        for camera in [camera for camera, model in tuple(self._pairs) if model == alias]:
            for metric in (self.threshold, self.model_last_frame_timestamp_seconds, self.defect_cusum):
                with suppress(KeyError):
                    metric.remove(camera, alias)
            for signal in SIGNALS:
                with suppress(KeyError):
                    self.drift_score.remove(camera, alias, signal)
            self._pairs.discard((camera, alias))

    def received(self, frame: Frame, inspector: Inspector | None = None) -> None:
        """Count a frame that arrived, and its inspector if it has one."""
        camera = self._series(frame.camera)
        self.frames.labels(camera).inc()
        self.last_frame_timestamp_seconds.labels(camera).set(frame.captured_at)
        for cause in frame.cuts:
            self.part_cuts.labels(cause).inc()
        if inspector is not None:
            self.used(frame, inspector)

    def used(self, frame: Frame, inspector: Inspector) -> None:
        """Show which model inspects a frame."""
        camera, alias = self.label(frame.camera), inspector.alias
        if (camera, alias) not in self._pairs:
            self._pair(camera, alias)
        self.threshold.labels(camera, alias).set(inspector.threshold(frame.camera))
        self.model_last_frame_timestamp_seconds.labels(camera, alias).set(frame.captured_at)

    def delivered(self, inspections: Sequence[Inspection], live: bool, clock: float, now: float) -> None:
        """Count verdicts that are durable. `clock` is monotonic, `now` in seconds since 1970."""
        for inspection in inspections:
            verdict = inspection.verdict
            camera = self._series(verdict.camera)
            exemplar = {"frame_id": verdict.id}
            self.verdicts.labels(camera, verdict.outcome).inc(exemplar=exemplar)
            if self._products:
                product = None if verdict.part is None else verdict.part.product
                known = product if product in self._products else OTHER_PRODUCTS
                self.product_verdicts.labels(known, verdict.outcome).inc(exemplar=exemplar)
            if verdict.outcome == "defect":
                self.last_defect_timestamp_seconds.labels(camera).set(verdict.captured_at)
            if verdict.kind is not None:
                self.defect_kinds.labels(camera, verdict.kind).inc()
            if verdict.reason is not None:
                self.uninspectable.labels(camera, verdict.reason).inc()
            if verdict.score is not None and verdict.threshold > 0:
                ratio = verdict.score / verdict.threshold
                self.score_ratio.labels(camera, verdict.model).observe(ratio, exemplar)
            if inspection.latency is not None:
                self.decode_seconds.observe(inspection.latency.decode)
                self.queue_wait_seconds.observe(inspection.latency.queue)
            since = now - verdict.captured_at if live else clock - inspection.arrived
            self.end_to_end_seconds.observe(max(0.0, since), exemplar)

    def forget_lag(self, topic: str, partition: int) -> None:
        """Remove the lag of a partition that another monitor consumes now."""
        with suppress(KeyError):
            self.consumer_lag_records.remove(topic, str(partition))

    def charted(self, camera: str, alias: str, cusum: float, drift: Mapping[str, float]) -> None:
        """Show the state of the control charts of a camera and a model."""
        camera = self._series(camera)
        if (camera, alias) not in self._pairs:
            self._pair(camera, alias)
        self.defect_cusum.labels(camera, alias).set(cusum)
        for signal, score in drift.items():
            self.drift_score.labels(camera, alias, signal).set(score)

    def repeated(self, camera: str, repeats: int) -> None:
        """Show how many frames in a row of a camera repeated the picture before."""
        self.repeated_frames.labels(self._series(camera)).set(repeats)

    def label(self, camera: str) -> str:
        """The label of a camera: its name, or `OTHER_CAMERAS` beyond MAX_CAMERAS."""
        known = camera in self._cameras or len(self._cameras) < MAX_CAMERAS
        return camera if known else OTHER_CAMERAS

    def _series(self, camera: str) -> str:
        """The camera's label. Creates its series at zero at first sight, so that rates start from zero."""
        camera = self.label(camera)
        if camera not in self._cameras:
            self._cameras.add(camera)
            for metric in (
                self.frames,
                self.last_frame_timestamp_seconds,
                self.last_defect_timestamp_seconds,
                self.repeated_frames,
            ):
                metric.labels(camera)
            for outcome in OUTCOMES:
                self.verdicts.labels(camera, outcome)
            for reason in REASONS:
                self.uninspectable.labels(camera, reason)
            if self._only is not None:
                self._pair(camera, self._only)
        return camera

    def _pair(self, camera: str, alias: str) -> None:
        """Create the series of a camera and a model at zero."""
        self._pairs.add((camera, alias))
        self.score_ratio.labels(camera, alias)
        self.defect_cusum.labels(camera, alias)
        for signal in SIGNALS:
            self.drift_score.labels(camera, alias, signal)
        for kind in self._kinds.get(alias, ()):
            self.defect_kinds.labels(camera, kind)


class ShadowMetrics:
    """The metrics of shadows, on the registry of its monitor's metrics. A test holds these types to the catalogue."""

    model: Info
    frames: Counter
    verdicts: Counter
    score_ratio: Histogram
    seconds: Histogram

    def __init__(self, registry: CollectorRegistry) -> None:
        for metric in CATALOGUE:
            if metric.component == "shadow":
                setattr(self, metric.attribute, build_metric(metric, registry))
        self._pairs: set[tuple[str, str]] = set()  # camera and model

    def judged(self, camera: str, first: Verdict, second: Verdict) -> None:
        """Count a frame that both models judged."""
        alias = second.model
        if (camera, alias) not in self._pairs:
            self._pairs.add((camera, alias))
            for verdict in OUTCOMES:
                for shadow in OUTCOMES:
                    self.verdicts.labels(camera, alias, verdict, shadow)
        self.frames.labels("scored").inc()
        self.verdicts.labels(camera, alias, first.outcome, second.outcome).inc()
        if second.score is not None and second.threshold > 0:
            self.score_ratio.labels(camera, alias).observe(second.score / second.threshold)


def build_metric(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram | Info:
    """Register a metric. Its series start at zero where all values of all labels are known."""
    names = tuple(metric.labels)
    built: Counter | Gauge | Histogram | Info
    if metric.kind == "histogram":
        built = Histogram(metric.name, metric.help, names, buckets=metric.buckets, registry=registry)
    else:
        built = {"counter": Counter, "gauge": Gauge, "info": Info}[metric.kind](
            metric.name, metric.help, names, registry=registry
        )
    if names:
        for values in itertools.product(*metric.labels.values()):  # none if the values of a label are not known
            built.labels(*values)
    return built
