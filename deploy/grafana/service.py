"""The dashboard Service."""

from layout import dashboard
from panels import (
    ALIVE,
    BUSY,
    CAMERA,
    GREEN,
    GREY,
    JSON,
    LINE,
    RED,
    YELLOW,
    column,
    dashed,
    lamp,
    lines,
    mean,
    of_every,
    quantile,
    query,
    runbook,
    stat,
    steps,
    table,
    words,
)
from tiles import alerts, present_and_missing

REPLICA = "job, instance"
# The replicas of the last day: 1 is up, 0 does not answer, -1 has no address any more while its line misses one, -2 has
# none and was replaced, as in every roll-out.
KNOWN = f"last_over_time(up{{{LINE}}}[1d])"
STATE = (
    f"max by ({REPLICA}) (up{{{LINE}}}) or on ({REPLICA}) 0 * max by ({REPLICA}) ({KNOWN}) - 1 "
    f"- on (job) group_left () (job:andon_monitors_missing:max{{{LINE}}} == bool 0)"
)
# On its whole row: one that is up has no colour.
STATES = words({1: ("UP", "transparent"), 0: ("DOWN", RED), -1: ("GONE", RED), -2: ("REPLACED", GREY)})


def newest(info: str, labels: str) -> str:
    """What a replica says of itself now; of one that does not answer, what it said last."""
    keys = f"{REPLICA}, {labels}"
    return (
        f"max by ({keys}) ({info}{{{LINE}}}) or on ({REPLICA}) max by ({keys}) (last_over_time({info}{{{LINE}}}[1d]))"
    )


def service() -> JSON:
    """For whoever keeps it running."""
    stages = (
        ("andon_queue_wait_seconds", "queue"),
        ("andon_decode_seconds", "decode"),
        ("andon_inference_seconds", "infer (a batch)"),
        ("andon_publish_seconds", "publish (a group)"),
    )
    takt = f"max by (job) (andon_takt_seconds{{{LINE}}})"
    late = f"max(job:andon_end_to_end_seconds:p99_5m{{{LINE}}} / on (job) ({takt} > 0)) or 0 * max({takt} == 0) - 1"
    return dashboard(
        "andon-service",
        "Service",
        "Does the monitor keep up, and where does the time go?",
        "30s",
        "1h",
        [
            present_and_missing(
                "Replicas that take frames",
                "Those that are ready, and those of the last day that are not; the table below says which.",
                [
                    query(f"sum(andon_ready{{{LINE}}}) or 0 * sum(job:andon_monitors_up:sum{{{LINE}}})", "ready"),
                    query(
                        f"sum(job:andon_monitors_missing:max{{{LINE}}}) "
                        f"+ (sum(andon_ready{{{LINE}}} == bool 0) or vector(0))",
                        "missing",
                    ),
                ],
                4,
                "monitornotready",
            ),
            stat(
                "Brokers",
                "Whether Kafka answers every replica that runs.",
                [query(f"min(andon_kafka_up{{{LINE}}})", "kafka")],
                (3, 4),
                mappings=lamp("UP", "DOWN"),
                nan="NOT USED",
                links=runbook("kafkadown"),
            ),
            stat(
                "Network cameras",
                "Whether the camera at source.uri of every replica that runs sends frames.",
                [query(f"min(andon_source_up{{{LINE}}})", "camera")],
                (3, 4),
                mappings=lamp("UP", "DOWN"),
                nan="NOT USED",
                links=runbook("cameradown"),
            ),
            stat(
                "Action targets",
                "Whether every target of output.actions answers the replicas that run.",
                [query(f"min(andon_action_target_up{{{LINE}}}) or 0 * max(andon_ready{{{LINE}}}) - 1", "targets")],
                (3, 4),
                mappings=[*lamp("UP", "DOWN"), *words({-1: ("NOT USED", GREY)})],
                links=runbook("actiontargetdown"),
            ),
            stat(
                "Frames that wait",
                "In all topics. Some are there at any moment; a number that grows says that the monitors fall behind.",
                [query(f"sum(andon_consumer_lag_records{{{LINE}}})", "frames")],
                (3, 4),
                unit="suffix:frames",
                colours=steps((0, GREEN), (50, YELLOW), (500, RED)),
                links=runbook("laggrowing"),
            ),
            stat(
                "Latency of the takt",
                "99th percentile from capture to verdict, as a share of inspection.takt; above 100 % is too late.",
                [query(late, "share")],
                (3, 4),
                unit="percentunit",
                colours=steps((0, GREEN), (0.5, YELLOW), (1, RED)),
                mappings=words({-1: ("NO TAKT SET", GREY)}),
                nan="NO FRAMES",
                links=runbook("latencyovertakt"),
            ),
            stat(
                "Busiest replica",
                "Share of the time in which its model works: the frames a second that it could take more are few where "
                "this is near 100 %.",
                [query(f"max({BUSY} {ALIVE})", "busy")],
                (3, 4),
                unit="percentunit",
                colours=steps((0, GREEN), (0.7, YELLOW), (0.9, RED)),
            ),
            alerts(2),
            table(
                "Replicas",
                "The replicas of the last day: whether each answers, is ready, sees its brokers, uses or refuses its "
                "model files, and its partitions. REPLACED: its address is gone, and as many run as before.",
                [
                    query(STATE),
                    *(
                        query(of_every(REPLICA, KNOWN, values))
                        for values in (
                            f"andon_ready{{{LINE}}}",
                            f"andon_kafka_up{{{LINE}}}",
                            f"andon_assigned_partitions{{{LINE}}}",
                            f"1 - max by ({REPLICA}) (andon_model_refused{{{LINE}}})",
                            f"time() - process_start_time_seconds{{{LINE}}}",
                        )
                    ),
                ],
                (12, 7),
                {
                    "instance": "Replica",
                    "A": "State",
                    "B": "Ready",
                    "C": "Kafka",
                    "D": "Partitions",
                    "E": "Model files in use",
                    "F": "Up for",
                    "job": "Line",
                },
                sort="State",
                overrides=[
                    column(
                        "State",
                        mappings=STATES,
                        cellOptions={"type": "color-background", "applyToRow": True},
                        width=110,
                    ),
                    *(
                        column(name, mappings=lamp("yes", "no"), width=width)
                        for name, width in (("Ready", 75), ("Kafka", 75), ("Model files in use", 150))
                    ),
                    column("Partitions", width=95),
                    column("Up for", "s", width=110),
                    column("Line", width=110),
                ],
                decimals=0,
                empty="Prometheus reached no replica within a day.",
            ),
            table(
                "What runs where",
                "Execution provider really in use, with whether another one was asked for, and versions: of replicas "
                "that are gone, what they ran last.",
                [
                    query(newest("andon_provider_info", "provider, fallback")),
                    query(newest("andon_build_info", "version, onnxruntime")),
                    query(STATE),
                ],
                (12, 7),
                {
                    "instance": "Replica",
                    "C": "State",
                    "version": "Andon",
                    "onnxruntime": "ONNX Runtime",
                    "provider": "Provider",
                    "fallback": "Instead of another one",
                    "job": "Line",
                },
                sort="State",
                overrides=[
                    column(
                        "State",
                        mappings=STATES,
                        cellOptions={"type": "color-background", "applyToRow": True},
                        width=110,
                    ),
                    *(column(name, width=110) for name in ("Andon", "ONNX Runtime", "Line")),
                    column("Instead of another one", width=175),
                ],
                links=runbook("providerfellback"),
                empty="Prometheus reached no replica within a day.",
            ),
            lines(
                "Throughput",
                "Frames received and verdicts made durable, a second.",
                [
                    query(f"sum(rate(andon_frames_total{{{CAMERA}}}[$__rate_interval]))", "frames"),
                    query(f"sum(rate(andon_verdicts_total{{{CAMERA}}}[$__rate_interval]))", "verdicts"),
                ],
                unit="suffix:frames/s",
                lower=0,
            ),
            lines(
                "Latency from capture to verdict",
                "Until the verdict is acknowledged; the takt is inspection.takt, where one is set.",
                [
                    query(quantile(0.5, "andon_end_to_end_seconds"), "median"),
                    query(quantile(0.99, "andon_end_to_end_seconds"), "99 %", dots=True),
                    query(f"max(andon_takt_seconds{{{LINE}}}) > 0", "takt (limit)"),
                ],
                unit="s",
                lower=0,
                overrides=[dashed("limit")],
                links=runbook("latencyovertakt"),
            ),
            lines(
                "Where the time goes, on average",
                "Waiting for a thread or a batch, decoding a frame, the model for a batch, acknowledgement of a group.",
                [query(mean(metric), name) for metric, name in stages],
                unit="s",
                lower=0,
            ),
            lines(
                "Where the time goes, 95th percentile",
                "As on the left, for the slow ones.",
                [query(quantile(0.95, metric), name) for metric, name in stages],
                unit="s",
                lower=0,
            ),
            lines(
                "Consumer lag",
                "Frames that wait in each topic, and those that are in a monitor now.",
                [
                    query(f"sum by (topic) (andon_consumer_lag_records{{{LINE}}})", "{{topic}}"),
                    query(f"sum(andon_in_flight_frames{{{LINE}}})", "in flight"),
                ],
                (8, 8),
                lower=0,
                links=runbook("laggrowing"),
            ),
            lines(
                "Batch size",
                "Frames in one batch on average. On a CPU always 1; on a GPU more where frames wait for the model.",
                [query(mean("andon_batch_size"), "frames")],
                (8, 8),
                lower=0,
            ),
            lines(
                "What went wrong",
                "Uninspectable frames, dead letters, outages of the brokers, new assignments, frames passed to another "
                "replica, and those that another output than the verdicts lost, over five minutes.",
                [
                    query(f"sum(increase(andon_uninspectable_total{{{LINE}}}[5m]))", "uninspectable"),
                    query(f"sum(increase(andon_dead_letters_total{{{LINE}}}[5m]))", "dead letters"),
                    query(f"sum(increase(andon_kafka_outages_total{{{LINE}}}[5m]))", "outages"),
                    query(f"sum(increase(andon_rebalances_total{{{LINE}}}[5m]))", "rebalances"),
                    query(f"sum(increase(andon_relinquished_frames_total{{{LINE}}}[5m]))", "left to another"),
                    query(f"sum(increase(andon_output_lost_frames_total{{{LINE}}}[5m]))", "lost by an output"),
                ],
                (8, 8),
                lower=0,
            ),
            lines(
                "Input that was refused",
                "What came in and was refused or cut, over five minutes: connections to /metrics and the probes, "
                "records of Kafka that cannot be read or were deleted before, values of a part's identity.",
                [
                    query(f"sum(increase(andon_http_refused_total{{{LINE}}}[5m]))", "connections"),
                    query(f"sum(increase(andon_kafka_unreadable_records_total{{{LINE}}}[5m]))", "unreadable records"),
                    query(f"sum(increase(andon_kafka_expired_records_total{{{LINE}}}[5m]))", "expired records"),
                    query(f"sum(increase(andon_part_cuts_total{{{LINE}}}[5m]))", "cut identities"),
                ],
                (8, 8),
                lower=0,
                links=runbook("serverflooded"),
            ),
            lines(
                "Models of the recipes",
                "Models that are open, and how many were opened in the last hour: many more are opened again and "
                "again, as model.memory_bytes is too low for them.",
                [
                    query(f"sum(andon_models_open{{{LINE}}})", "open"),
                    query(f"sum(increase(andon_model_openings_total{{{LINE}}}[1h]))", "opened in an hour"),
                ],
                (8, 8),
                lower=0,
                links=runbook("modelsreopened"),
            ),
            lines(
                "Actions",
                "What became of the actions of output.actions, a minute.",
                [query(f"60 * sum by (result) (rate(andon_actions_total{{{LINE}}}[$__rate_interval]))", "{{result}}")],
                (8, 8),
                lower=0,
                empty="In the time shown no actions were set (output.actions).",
            ),
            lines(
                "Processor",
                "Cores in use by each replica.",
                [query(f"rate(process_cpu_seconds_total{{{LINE}}}[$__rate_interval])", "{{instance}}")],
                (8, 8),
                lower=0,
            ),
            lines(
                "Memory",
                "Resident memory of each replica, and the frames it holds.",
                [
                    query(f"process_resident_memory_bytes{{{LINE}}}", "{{instance}}"),
                    query(f"andon_in_flight_bytes{{{LINE}}}", "{{instance}} frames"),
                ],
                (8, 8),
                unit="bytes",
                lower=0,
                links=runbook("memorygrowing"),
            ),
            lines(
                "How busy the model is",
                "Share of the time in which each replica scores frames.",
                [query(BUSY, "{{instance}}")],
                (8, 8),
                unit="percentunit",
                lower=0,
                soft=1,
            ),
            lines(
                "Frames of cameras without a verdict",
                "Frames of the cameras at source.uri, a minute: dropped for newer ones, and those that an industrial "
                "camera numbered and that never arrived.",
                [
                    query(
                        f"60 * rate(andon_source_dropped_frames_total{{{LINE}}}[$__rate_interval])",
                        "{{instance}} dropped",
                    ),
                    query(
                        f"60 * rate(andon_source_missing_frames_total{{{LINE}}}[$__rate_interval])",
                        "{{instance}} missing",
                    ),
                ],
                (24, 8),
                lower=0,
                links=runbook("cameraframesdropped"),
            ),
        ],
    )
