"""Every metric that the monitor serves at /metrics, declared as data. `telemetry.metrics` builds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from andon_monitor.inspection.frames import OUTCOMES, REASONS
from andon_monitor.inspection.part import CUTS

# Score over threshold: an average good part lies at 0.5 to 0.7. What counts is the side of 1 and the distance from it.
RATIO_BUCKETS = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
# Seconds of one stage: from a small frame on a GPU to a batch of large ones on a slow CPU.
STAGE_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# Seconds from capture to action: reject windows begin some milliseconds after the trigger.
ACTION_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.08, 0.12, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)
# Seconds from the camera to the verdict: a takt lies between a tenth of a second and a minute, a backlog within hours.
END_TO_END_BUCKETS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0),
)
BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)  # frames

SIGNALS = ("score", "brightness", "sharpness")  # that drift, see `andon_monitor.statistics.drift`
EVIDENCE_KINDS = ("defect", "borderline", "good")  # see `andon_monitor.evidence`
EVIDENCE_SKIPPED = ("rate", "too_large", "failed")  # why a frame is left out of the evidence
# Outputs beside the verdicts.
OUTPUTS = ("evidence", "history", "charts", "frozen", "summary", "shadow", "log", "progress", "actions")
# What becomes of an action: done; its moment had passed; the target did not answer or refused; too many waited; the
# frame is from before the start. See `andon_monitor.actions`.
ACTION_RESULTS = ("done", "late", "failed", "dropped", "old")
SWAP_RESULTS = ("taken", "refused")  # what happens to a new model file, see `andon_monitor.run.hot_swap`
SHADOW_RESULTS = ("scored", "skipped")
# Why the server closes a connection or sends a request away, see `andon_monitor.telemetry.connections`.
REFUSALS = ("connections", "timeout", "busy", "password")
# Why a record of a topic could not be read, see `andon_monitor.kafka.records`.
UNREADABLE_CAUSES = ("content", "checksum", "compression", "too_large")
# Why reading a partition continued elsewhere, see `andon_monitor.kafka.reader`.
RESET_CAUSES = ("retention", "recreated", "truncated")
# Verdicts of parts, why one is incomplete, and what becomes of a view, see `andon_monitor.parts`.
PART_OUTCOMES = ("good", "defect", "incomplete")
INCOMPLETE_REASONS = ("missing", "uninspectable", "unknown_product", "products_differ")
VIEW_RESULTS = ("joined", "unexpected", "repeated", "late", "duplicate", "no_part", "unreadable")

Kind = Literal["counter", "gauge", "histogram", "info"]
Component = Literal["pipeline", "model", "service", "parts", "actions", "kafka", "evidence", "statistics", "shadow"]
SUFFIXES: dict[Kind, str] = {"counter": "_total", "gauge": "", "histogram": "", "info": "_info"}

ANY: tuple[str, ...] = ()  # a label whose values are not known beforehand
CAMERA = {"camera": ANY}
MODEL = {"model": ANY}  # the name of a recipe; without recipes the model's alias


@dataclass(frozen=True)
class Metric:
    """One metric. `labels` maps each label to the values that it can have, `ANY` where these are open.

    `name` is without the suffix that its kind adds (`exposed_name` has it). `buckets` are the upper limits of a
    histogram, in what `help` measures. `component` is the part of the monitor that moves the metric.
    """

    component: Component
    kind: Kind
    name: str
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()

    @property
    def exposed_name(self) -> str:
        """The name that Prometheus shows."""
        return self.name + SUFFIXES[self.kind]

    @property
    def attribute(self) -> str:
        """The name in `Metrics` or `ShadowMetrics`: without what the names there have in common."""
        return self.name.removeprefix("andon_").removeprefix("shadow_")


CATALOGUE: tuple[Metric, ...] = (
    # Frames and verdicts.
    Metric("pipeline", "counter", "andon_frames", "Frames received.", CAMERA),
    Metric("pipeline", "counter", "andon_verdicts", "Durable verdicts, by outcome.", CAMERA | {"verdict": OUTCOMES}),
    Metric(
        "pipeline",
        "counter",
        "andon_defect_kinds",
        "Defects by their most probable kind, where the model tells kinds apart.",
        CAMERA | {"kind": ANY},
    ),
    Metric(
        "pipeline",
        "counter",
        "andon_uninspectable",
        "Frames that could not be inspected, by reason.",
        CAMERA | {"reason": REASONS},
    ),
    Metric(
        "pipeline", "counter", "andon_dead_letters", "Uninspectable frames kept as dead letters.", {"reason": REASONS}
    ),
    Metric(
        "pipeline",
        "counter",
        "andon_part_cuts",
        "Values of a part's identity that were cut or left out, by cause: length, characters, value, name, count.",
        {"cause": CUTS},
    ),
    Metric(
        "pipeline",
        "counter",
        "andon_product_verdicts",
        "Durable verdicts by product, for the products in source.products; others count as other.",
        {"product": ANY, "verdict": OUTCOMES},
    ),
    Metric(
        "pipeline",
        "histogram",
        "andon_score_ratio",
        "Anomaly score divided by the threshold; above 1 is a defect.",
        CAMERA | MODEL,
        RATIO_BUCKETS,
    ),
    Metric("pipeline", "gauge", "andon_threshold", "Anomaly score above which a part is a defect.", CAMERA | MODEL),
    Metric(
        "pipeline",
        "gauge",
        "andon_last_frame_timestamp_seconds",
        "Capture time of the newest frame received, in seconds since 1970; 0 before the first frame.",
        CAMERA,
    ),
    Metric(
        "pipeline",
        "gauge",
        "andon_model_last_frame_timestamp_seconds",
        "Capture time of the newest frame of a camera that a model inspects, in seconds since 1970.",
        CAMERA | MODEL,
    ),
    Metric(
        "pipeline",
        "gauge",
        "andon_last_defect_timestamp_seconds",
        "Capture time of the newest defect, in seconds since 1970; 0 before the first defect.",
        CAMERA,
    ),
    # Time and load.
    Metric(
        "pipeline",
        "histogram",
        "andon_decode_seconds",
        "Time to decode, crop and resize one frame.",
        buckets=STAGE_BUCKETS,
    ),
    Metric(
        "pipeline",
        "histogram",
        "andon_queue_wait_seconds",
        "Time that one frame waited between its arrival and its inference, without its decoding.",
        buckets=STAGE_BUCKETS,
    ),
    Metric(
        "pipeline",
        "histogram",
        "andon_inference_seconds",
        "Time that the model took for one batch.",
        buckets=STAGE_BUCKETS,
    ),
    Metric("pipeline", "histogram", "andon_batch_size", "Frames in one batch.", buckets=BATCH_BUCKETS),
    Metric(
        "pipeline",
        "histogram",
        "andon_publish_seconds",
        "Time to make one group of verdicts durable, in all sinks together.",
        buckets=STAGE_BUCKETS,
    ),
    Metric(
        "pipeline",
        "histogram",
        "andon_end_to_end_seconds",
        "Time from a frame's capture until its verdict was durable; for a recording, from the time it was read.",
        buckets=END_TO_END_BUCKETS,
    ),
    Metric("pipeline", "gauge", "andon_in_flight_frames", "Frames received whose verdicts are not yet durable."),
    Metric("pipeline", "gauge", "andon_in_flight_bytes", "Encoded size of the frames in flight."),
    Metric("pipeline", "gauge", "andon_ready", "1 while the model is verified and the source is being read."),
    Metric(
        "pipeline",
        "gauge",
        "andon_source_up",
        "1 while the camera at source.uri sends frames, or the watched folder is there; 0 while it is waited for, NaN "
        "for other sources.",
    ),
    Metric(
        "pipeline",
        "counter",
        "andon_source_outages",
        "Times that the camera or watched folder at source.uri went away.",
    ),
    Metric(
        "pipeline",
        "counter",
        "andon_source_dropped_frames",
        "Frames of the camera at source.uri dropped for newer ones, as it delivers faster than they are inspected.",
    ),
    Metric(
        "pipeline",
        "counter",
        "andon_source_time_steps_back",
        "Frames of the camera at source.uri whose time went backwards; they count as captured when they arrived.",
    ),
    Metric(
        "pipeline",
        "counter",
        "andon_source_missing_frames",
        "Images that an industrial camera sent and that never arrived, by the gaps in their numbers.",
    ),
    Metric(
        "pipeline", "counter", "andon_source_lost_packets", "Network packets of an industrial camera that were lost."
    ),
    # What runs, and the settings that alerts need.
    Metric("model", "info", "andon_model", "A model in use; recipe is empty without recipes.", MODEL),
    Metric(
        "model",
        "info",
        "andon_provider",
        "Execution provider in use; fallback is true if the settings ask for another one.",
    ),
    Metric("model", "gauge", "andon_false_alarm_rate", "Share of good parts that a model is set to flag.", MODEL),
    Metric(
        "model",
        "counter",
        "andon_model_swaps",
        "New model files, by whether they were taken into use.",
        MODEL | {"result": SWAP_RESULTS},
    ),
    Metric(
        "model",
        "gauge",
        "andon_model_refused",
        "1 while a model file is refused: the old model runs, or no model if there was none.",
        MODEL,
    ),
    Metric(
        "model",
        "counter",
        "andon_model_openings",
        "Times that a model was opened: at the start, with a frame that needed it, and for a swap.",
        MODEL,
    ),
    Metric("model", "gauge", "andon_models_open", "Model files that are open."),
    Metric("model", "gauge", "andon_models_bytes", "Memory that the process grew by when these were opened."),
    Metric("model", "gauge", "andon_models_limit_bytes", "Limit of it (model.memory_bytes); 0 means no limit."),
    Metric("service", "info", "andon_build", "Versions of the program and its runtime."),
    Metric(
        "service",
        "gauge",
        "andon_silence_seconds",
        "Time without a frame after which a camera is silent (source.silence).",
    ),
    Metric(
        "service",
        "gauge",
        "andon_takt_seconds",
        "Time from capture to verdict that the line allows (inspection.takt); 0 means no limit.",
    ),
    Metric(
        "service",
        "counter",
        "andon_http_refused",
        "Connections and requests to /metrics and the probes that a limit closed or sent away, by reason.",
        {"reason": REFUSALS},
    ),
    # Parts.
    Metric(
        "parts",
        "counter",
        "andon_parts",
        "Parts by verdict and product; products that parts.views does not name count as other.",
        {"product": ANY, "verdict": PART_OUTCOMES},
    ),
    Metric(
        "parts",
        "counter",
        "andon_incomplete_parts",
        "Parts that are incomplete, by reason.",
        {"reason": INCOMPLETE_REASONS},
    ),
    Metric(
        "parts",
        "counter",
        "andon_part_corrections",
        "Parts that turned into a defect after their verdict, because of a late or repeated view.",
    ),
    Metric(
        "parts",
        "counter",
        "andon_part_views",
        "Views of parts by what became of them: joined, unexpected (no view of the product), repeated, late, a "
        "duplicate delivery, without a part's id, not readable.",
        {"result": VIEW_RESULTS},
    ),
    Metric(
        "parts",
        "counter",
        "andon_part_missing_views",
        "Views that had not come when their part was closed, by view.",
        {"view": ANY},
    ),
    Metric(
        "parts", "counter", "andon_part_overflows", "Parts closed early because too many were open (parts.max_parts)."
    ),
    Metric("parts", "gauge", "andon_open_parts", "Parts that wait for views."),
    # Actions.
    Metric(
        "actions",
        "counter",
        "andon_actions",
        "Actions of output.actions by what became of them: done; late (their moment had passed); failed (the target "
        "did not answer in time, or refused); dropped (too many waited); old (captured before the start).",
        {"target": ANY, "result": ACTION_RESULTS},
    ),
    Metric(
        "actions",
        "histogram",
        "andon_action_seconds",
        "Time from the moment at which an action was due until the target had it.",
        {"target": ANY},
        ACTION_BUCKETS,
    ),
    Metric(
        "actions",
        "histogram",
        "andon_capture_to_action_seconds",
        "Time from capture until the target had the action, without what a rule waits on purpose; of targets that act "
        "now.",
        {"target": ANY},
        ACTION_BUCKETS,
    ),
    Metric(
        "actions",
        "gauge",
        "andon_action_target_up",
        "1 while a target of output.actions answers, 0 while it does not.",
        {"target": ANY},
    ),
    Metric(
        "actions",
        "gauge",
        "andon_action_waiting",
        "Actions that wait: for their moment, or in the outbox for their target.",
        {"target": ANY},
    ),
    Metric(
        "actions",
        "gauge",
        "andon_actions_alive",
        "1 while frames are taken and answered within output.action_deadline, which the heartbeats show; 0 while not.",
    ),
    # Kafka.
    Metric("kafka", "gauge", "andon_kafka_up", "1 while the Kafka brokers answer, 0 while not, NaN without Kafka."),
    Metric("kafka", "counter", "andon_kafka_outages", "Failures of Kafka that the monitor waited out."),
    Metric("kafka", "counter", "andon_rebalances", "Times that partitions were assigned to this monitor."),
    Metric("kafka", "gauge", "andon_assigned_partitions", "Partitions that this monitor consumes."),
    Metric(
        "kafka",
        "counter",
        "andon_relinquished_frames",
        "Frames in flight that a rebalance passed to the partition's next owner.",
    ),
    Metric(
        "kafka",
        "counter",
        "andon_kafka_unreadable_records",
        "Records that could not be read, by cause: their content, their batch's checksum or compression, their size.",
        {"cause": UNREADABLE_CAUSES},
    ),
    Metric("kafka", "counter", "andon_kafka_expired_records", "Records that retention removed before they were read."),
    Metric(
        "kafka",
        "counter",
        "andon_kafka_position_resets",
        "Times that reading a partition continued elsewhere: retention, a topic created again, a log cut short.",
        {"cause": RESET_CAUSES},
    ),
    Metric(
        "kafka",
        "gauge",
        "andon_consumer_lag_records",
        "Consumer lag: records of a partition that this monitor has not yet committed.",
        {"topic": ANY, "partition": ANY},
    ),
    # Evidence.
    Metric(
        "evidence",
        "counter",
        "andon_evidence",
        "Frames sent to the review page or its topic, by kind.",
        {"kind": EVIDENCE_KINDS},
    ),
    Metric(
        "evidence",
        "counter",
        "andon_evidence_skipped",
        "Frames left out of the evidence, by kind and reason.",
        {"kind": EVIDENCE_KINDS, "reason": EVIDENCE_SKIPPED},
    ),
    # Outputs beside the verdicts.
    Metric(
        "service",
        "counter",
        "andon_output_lost_frames",
        "Frames that an output beside the verdicts did not keep, because it failed or was too slow.",
        {"output": OUTPUTS},
    ),
    Metric(
        "service",
        "gauge",
        "andon_output_up",
        "1 while an output beside the verdicts keeps what it is given, 0 since it lost a frame.",
        {"output": ANY},
    ),
    # Control charts.
    Metric(
        "statistics",
        "gauge",
        "andon_defect_cusum",
        "Bernoulli CUSUM of the verdicts; at its limit, there are more defects than usual.",
        CAMERA | MODEL,
    ),
    Metric("statistics", "gauge", "andon_defect_cusum_limit", "Limit of the CUSUM (statistics.cusum_limit)."),
    Metric(
        "statistics",
        "gauge",
        "andon_drift_score",
        "Distance of recent frames from the calibration frames, in standard deviations of the latter.",
        CAMERA | MODEL | {"signal": SIGNALS},
    ),
    Metric("statistics", "gauge", "andon_drift_limit", "Drift that matters, up or down (statistics.drift_limit)."),
    Metric(
        "statistics",
        "gauge",
        "andon_repeated_frames",
        "Frames in a row that show the same picture as the frame before; 0 for a healthy camera.",
        CAMERA,
    ),
    Metric(
        "statistics",
        "gauge",
        "andon_repeated_frames_limit",
        "Repeated frames at which a picture counts as frozen (statistics.repeats_limit).",
    ),
    # Shadows, there where one runs; `model` is the shadow's.
    Metric("shadow", "info", "andon_shadow_model", "A shadow's model.", MODEL),
    Metric(
        "shadow",
        "counter",
        "andon_shadow_frames",
        "Frames that the shadow scored, and that it skipped to keep its budget.",
        {"result": SHADOW_RESULTS},
    ),
    Metric(
        "shadow",
        "counter",
        "andon_shadow_verdicts",
        "Frames that both models judged, by the verdict of each.",
        CAMERA | MODEL | {"verdict": OUTCOMES, "shadow": OUTCOMES},
    ),
    Metric(
        "shadow",
        "histogram",
        "andon_shadow_score_ratio",
        "The shadow's anomaly score divided by its threshold.",
        CAMERA | MODEL,
        RATIO_BUCKETS,
    ),
    Metric(
        "shadow",
        "histogram",
        "andon_shadow_seconds",
        "Time that the shadow took for one frame, including decoding.",
        buckets=STAGE_BUCKETS,
    ),
)
