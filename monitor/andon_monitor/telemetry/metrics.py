"""Every metric of the monitor (contract 5), on a registry of its own; a shadow adds those of `run.shadow`."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version

import onnxruntime
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

from andon_monitor.inspection.frames import OUTCOMES, REASONS, Frame
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.model.file import Model

# A camera's name comes from a message: a stream of invented names must not fill the memory, nor Prometheus.
MAX_CAMERAS = 1000
OTHER_CAMERAS = "other"

# Score over threshold: an average good part lies at 0.5 to 0.7, what counts is on which side of 1 and how near.
RATIO_BUCKETS = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
# Seconds of a stage: from a small frame on a GPU to a batch of large ones on a slow CPU.
STAGE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# Seconds from the camera to the verdict: a takt lies between a tenth of a second and a minute.
END_TO_END_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
# What a drift score is of; see `andon_monitor.statistics.drift`.
SIGNALS = ("score", "brightness", "sharpness")
# What people are shown, and why a frame that they should see is not; see `andon_monitor.evidence`.
EVIDENCE = ("defect", "borderline", "good")
EVIDENCE_SKIPPED = ("rate", "too_large", "failed")
# What becomes of a new model file; see `andon_monitor.run.hot_swap`.
SWAPS = ("taken", "refused")
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` series beside each counter would double what is scraped


class Metrics:
    """The metrics and what moves them. Labels exist from a camera's first frame on, at zero."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.frames = Counter("andon_frames", "Frames received.", ["camera"], registry=registry)
        self.verdicts = Counter(
            "andon_verdicts", "Verdicts that are durable, by outcome.", ["camera", "verdict"], registry=registry
        )
        self.defect_kinds = Counter(
            "andon_defect_kinds",
            "Defects by what kind they look like, where the model tells kinds apart.",
            ["camera", "kind"],
            registry=registry,
        )
        self.uninspectable = Counter(
            "andon_uninspectable",
            "Frames that could not be inspected, by reason.",
            ["camera", "reason"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "andon_dead_letters", "Uninspectable frames kept as dead letters.", ["reason"], registry=registry
        )
        self.score_ratio = Histogram(
            "andon_score_ratio",
            "Score over threshold: above 1 is a defect.",
            ["camera", "model"],
            buckets=RATIO_BUCKETS,
            registry=registry,
        )
        self.threshold = Gauge(
            "andon_threshold", "Score above which a part is a defect.", ["camera"], registry=registry
        )
        self.decode = Histogram(
            "andon_decode_seconds",
            "Time to decode, crop and resize one frame.",
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "andon_queue_wait_seconds",
            "Time a frame waited between its arrival and its inference, decoding apart.",
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.inference = Histogram(
            "andon_inference_seconds", "Time the model took for one batch.", buckets=STAGE_BUCKETS, registry=registry
        )
        self.batch_size = Histogram(
            "andon_batch_size", "Frames in one batch.", buckets=BATCH_BUCKETS, registry=registry
        )
        self.publish = Histogram(
            "andon_publish_seconds",
            "Time to make one group of verdicts durable, over all sinks.",
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.end_to_end = Histogram(
            "andon_end_to_end_seconds",
            "Time from a frame's capture (for a recording, from its reading) until its verdict was durable.",
            buckets=END_TO_END_BUCKETS,
            registry=registry,
        )
        self.evidence = Counter(
            "andon_evidence", "Frames sent for people to look at, by kind.", ["kind"], registry=registry
        )
        self.evidence_skipped = Counter(
            "andon_evidence_skipped",
            "Frames left out of the evidence, by kind and reason.",
            ["kind", "reason"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "andon_in_flight_frames", "Frames received whose verdicts are not yet durable.", registry=registry
        )
        self.in_flight_bytes = Gauge(
            "andon_in_flight_bytes", "Encoded size of the frames in flight.", registry=registry
        )
        self.lag = Gauge(
            "andon_consumer_lag_records",
            "Records in a partition that this monitor has yet to commit.",
            ["topic", "partition"],
            registry=registry,
        )
        self.kafka_up = Gauge(
            "andon_kafka_up", "1 while the Kafka brokers answer, NaN where there are none to ask.", registry=registry
        )
        self.kafka_up.set(math.nan)
        self.kafka_outages = Counter(
            "andon_kafka_outages", "Times that something failed in Kafka and was waited out.", registry=registry
        )
        self.rebalances = Counter(
            "andon_rebalances", "Times that this monitor was assigned partitions.", registry=registry
        )
        self.partitions = Gauge("andon_assigned_partitions", "Partitions this monitor consumes.", registry=registry)
        self.dropped = Counter(
            "andon_relinquished_frames",
            "Frames in flight that a rebalance left to the next owner.",
            registry=registry,
        )
        self.last_frame = Gauge(
            "andon_last_frame_timestamp_seconds",
            "Capture time of the newest frame received, in seconds since 1970; 0 for one yet to come.",
            ["camera"],
            registry=registry,
        )
        self.last_defect = Gauge(
            "andon_last_defect_timestamp_seconds",
            "Capture time of the newest defect, in seconds since 1970; 0 where there was none.",
            ["camera"],
            registry=registry,
        )
        self.silence = Gauge(
            "andon_silence_seconds",
            "Time without a frame after which a camera is silent (source.silence).",
            registry=registry,
        )
        self.takt = Gauge(
            "andon_takt_seconds",
            "Time from capture to verdict that the line allows (inspection.takt); 0 for any.",
            registry=registry,
        )
        self.cusum = Gauge(
            "andon_defect_cusum",
            "Bernoulli CUSUM of the verdicts: at its limit the defect rate is up.",
            ["camera"],
            registry=registry,
        )
        self.cusum_limit = Gauge(
            "andon_defect_cusum_limit", "Limit of the CUSUM (statistics.cusum_limit).", registry=registry
        )
        self.drift = Gauge(
            "andon_drift_score",
            "How far frames have moved from the calibration frames, in standard deviations of these.",
            ["camera", "signal"],
            registry=registry,
        )
        self.drift_limit = Gauge(
            "andon_drift_limit", "Drift that matters, up or down (statistics.drift_limit).", registry=registry
        )
        self.repeats = Gauge(
            "andon_repeated_frames",
            "Frames in a row that showed the same picture as the frame before; 0 for a camera that sees.",
            ["camera"],
            registry=registry,
        )
        self.repeats_limit = Gauge(
            "andon_repeated_frames_limit",
            "Repeated frames at which a picture is frozen (statistics.repeats_limit).",
            registry=registry,
        )
        self.false_alarm_rate = Gauge(
            "andon_false_alarm_rate",
            "Share of good parts that the model's threshold lets be flagged.",
            registry=registry,
        )
        self.model = Info("andon_model", "The model in use.", registry=registry)
        self.provider = Info(
            "andon_provider",
            "Execution provider in use; fallback is true where another one was asked for.",
            registry=registry,
        )
        self.ready = Gauge(
            "andon_ready", "1 while the model is verified and the source is being read.", registry=registry
        )
        self.build = Info("andon_build", "Versions of the program and its runtime.", registry=registry)
        self.build.info({"version": version("andon"), "onnxruntime": onnxruntime.__version__})
        self.swaps = Counter(
            "andon_model_swaps",
            "New model files at model.path, by whether they were taken into use.",
            ["result"],
            registry=registry,
        )
        self.model_refused = Gauge(
            "andon_model_refused",
            "1 while the file at model.path is refused and the old model runs.",
            registry=registry,
        )
        for kind in EVIDENCE:
            self.evidence.labels(kind)
            for reason in EVIDENCE_SKIPPED:
                self.evidence_skipped.labels(kind, reason)
        for result in SWAPS:
            self.swaps.labels(result)
        for reason in REASONS:
            self.dead_letters.labels(reason)
        self._cameras: set[str] = set()
        self._model = ""
        self._kinds: tuple[str, ...] = ()

    def expect(self, cameras: Sequence[str], silence: float, takt: float) -> None:
        """What the settings say of the line: cameras that should come, and times in seconds."""
        self.silence.set(silence)
        self.takt.set(takt)
        for camera in cameras:
            self._series(camera)

    def use_limits(self, cusum: float, drift: float) -> None:
        """The limits of the control charts."""
        self.cusum_limit.set(cusum)
        self.drift_limit.set(drift)

    def use_model(self, model: Model, alias: str) -> None:
        """Say which model is in use, and on which provider."""
        card = model.card
        self._model = alias
        self._kinds = model.kinds
        self.false_alarm_rate.set(card.calibration.false_alarm_rate)
        for camera in tuple(self._cameras):  # a swap comes from another thread than frames do
            self.score_ratio.labels(camera, alias)
            for kind in model.kinds:
                self.defect_kinds.labels(camera, kind)
        self.model.info(
            {
                "model": alias,
                "sha256": model.sha256,
                "method": card.calibration.method,
                "false_alarm_rate": f"{card.calibration.false_alarm_rate:g}",
                "created_at": card.created_at.isoformat(timespec="seconds"),
            }
        )
        self.provider.info({"provider": model.provider, "fallback": str(model.fell_back).lower()})

    def received(self, frame: Frame, threshold: float) -> None:
        """A frame arrived."""
        camera = self._series(frame.camera)
        self.frames.labels(camera).inc()
        self.threshold.labels(camera).set(threshold)
        self.last_frame.labels(camera).set(frame.captured_at)

    def delivered(self, inspections: Sequence[Inspection], live: bool, clock: float, now: float) -> None:
        """Verdicts are durable. `clock` is monotonic, `now` in seconds since 1970."""
        for inspection in inspections:
            verdict = inspection.verdict
            camera = self._series(verdict.camera)
            exemplar = {"frame_id": verdict.id}
            self.verdicts.labels(camera, verdict.outcome).inc(exemplar=exemplar)
            if verdict.outcome == "defect":
                self.last_defect.labels(camera).set(verdict.captured_at)
            if verdict.kind is not None:
                self.defect_kinds.labels(camera, verdict.kind).inc()
            if verdict.reason is not None:
                self.uninspectable.labels(camera, verdict.reason).inc()
            if verdict.score is not None and verdict.threshold > 0:
                ratio = verdict.score / verdict.threshold
                self.score_ratio.labels(camera, verdict.model).observe(ratio, exemplar)
            if inspection.latency is not None:
                self.decode.observe(inspection.latency.decode)
                self.queue_wait.observe(inspection.latency.queue)
            since = now - verdict.captured_at if live else clock - inspection.arrived
            self.end_to_end.observe(max(0.0, since), exemplar)

    def forget_lag(self, topic: str, partition: int) -> None:
        """A partition is another monitor's now, and so is its lag."""
        with suppress(KeyError):
            self.lag.remove(topic, str(partition))

    def charted(self, camera: str, cusum: float, drift: Mapping[str, float]) -> None:
        """Where a camera's control charts stand."""
        camera = self._series(camera)
        self.cusum.labels(camera).set(cusum)
        for signal, score in drift.items():
            self.drift.labels(camera, signal).set(score)

    def repeated(self, camera: str, repeats: int) -> None:
        """How many frames in a row of a camera showed the same picture as the frame before."""
        self.repeats.labels(self._series(camera)).set(repeats)

    def label(self, camera: str) -> str:
        """The label of a camera: its name, as long as there are not too many."""
        known = camera in self._cameras or len(self._cameras) < MAX_CAMERAS
        return camera if known else OTHER_CAMERAS

    def _series(self, camera: str) -> str:
        """The camera's label; its series are created when it is first seen, so that rates start from zero."""
        camera = self.label(camera)
        if camera not in self._cameras:
            self._cameras.add(camera)
            for metric in (self.frames, self.last_frame, self.last_defect, self.cusum, self.repeats):
                metric.labels(camera)
            for outcome in OUTCOMES:
                self.verdicts.labels(camera, outcome)
            for reason in REASONS:
                self.uninspectable.labels(camera, reason)
            for signal in SIGNALS:
                self.drift.labels(camera, signal)
            for kind in self._kinds:
                self.defect_kinds.labels(camera, kind)
            if self._model:
                self.score_ratio.labels(camera, self._model)
        return camera
