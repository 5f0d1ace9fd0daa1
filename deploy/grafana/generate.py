"""The Grafana dashboards as code: one place for units, colours and layout, so that they stay alike.

    .venv/bin/python deploy/grafana/generate.py            writes deploy/grafana/dashboards/*.json

Grafana reads them from there (provisioning/). Classic JSON, schema version 42.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "dashboards"
PROMETHEUS = Path(__file__).parents[1] / "prometheus" / "prometheus.yml"
# Where people read deploy/runbook.md: set where the alerts have it from.
RUNBOOK = yaml.safe_load(PROMETHEUS.read_text())["global"]["external_labels"]["runbook"]
SOURCE = {"type": "prometheus", "uid": "andon-prometheus"}
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#8e8e8e"
WIDTH = 24  # columns of Grafana's grid

JSON = dict[str, Any]

# How a line, a camera and a model are chosen: see `variables`.
LINE = 'job=~"$line"'
CAMERA = f'{LINE}, camera=~"$camera"'
MODEL = f'{CAMERA}, model=~"$model"'
# What more than one dashboard shows.
ALERTS = f'count(ALERTS{{alertstate="firing", severity=~"critical|warning", {LINE}}}) or vector(0)'
BUSY = f"rate(andon_inference_seconds_sum{{{LINE}}}[$__rate_interval])"


def query(expression: str, legend: str = "", *, table: bool = False, heatmap: bool = False, dots: bool = False) -> JSON:
    """One query; a table shows the newest values, `dots` are exemplars, which carry the ids of frames."""
    return {
        "datasource": SOURCE,
        "expr": expression,
        "legendFormat": "__auto" if table else legend,
        "format": "table" if table else "heatmap" if heatmap else "time_series",
        "instant": table,
        "range": not table,
        "exemplar": dots,
    }


def steps(*pairs: tuple[float | None, str]) -> JSON:
    """Colours from a value on; the first from the lowest."""
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in pairs]}


def panel(kind: str, title: str, description: str, queries: Sequence[JSON], size: tuple[int, int], **more: Any) -> JSON:
    """One panel, `size` in columns and rows. `more`: unit, colours, mappings, lower, upper, decimals, options, ..."""
    defaults: JSON = {
        "unit": more.get("unit", "short"),
        "thresholds": more.get("colours", steps((None, GREEN))),
        "mappings": more.get("mappings", []),
        "custom": more.get("custom", {}),
    }
    defaults |= {name: more[key] for key, name in (("lower", "min"), ("upper", "max")) if key in more}
    if "decimals" in more:
        defaults["decimals"] = more["decimals"]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": [target | {"refId": chr(ord("A") + i)} for i, target in enumerate(queries)],
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": defaults, "overrides": more.get("overrides", [])},
        "options": more.get("options", {}),
        "transformations": more.get("transformations", []),
        "links": more.get("links", []),
    }


def lines(title: str, description: str, queries: Sequence[JSON], size: tuple[int, int] = (12, 8), **more: Any) -> JSON:
    """A chart over time; thresholds are drawn as lines where `limit` is set."""
    limited = more.pop("limited", False)
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": more.pop("fill", 0),
        "showPoints": "never",
        "spanNulls": False,
        "thresholdsStyle": {"mode": "line" if limited else "off"},
    } | more.pop("custom", {})
    options = {
        "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, queries, size, custom=custom, options=options, **more)


def stat(title: str, description: str, queries: Sequence[JSON], size: tuple[int, int] = (4, 4), **more: Any) -> JSON:
    """Large numbers, one for each series, on their colour."""
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": more.pop("text", "auto"),
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, description, queries, size, options=options, **more)


def table(title: str, description: str, queries: Sequence[JSON], size: tuple[int, int], **more: Any) -> JSON:
    """The newest values side by side, a row for each camera or instance."""
    hidden = {"Time": True, "__name__": True, "job": True} | dict.fromkeys(more.pop("hide", ()), True)
    order = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": hidden, "renameByName": more.pop("names", {})}},
    ]
    options = {"showHeader": True, "cellHeight": "md"}
    return panel("table", title, description, queries, size, transformations=order, options=options, **more)


def column(name: str, unit: str) -> JSON:
    """The unit of one column of a table."""
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": "unit", "value": unit}]}


def lamp(on: str, off: str) -> list[JSON]:
    """1 and 0 as words on green and red."""
    return [
        {"type": "value", "options": {"1": {"text": on, "color": GREEN, "index": 0}}},
        {"type": "value", "options": {"0": {"text": off, "color": RED, "index": 1}}},
        {"type": "special", "options": {"match": "null+nan", "result": {"text": "none", "color": GREY, "index": 2}}},
    ]


def answered(name: str) -> JSON:
    """A column of a table whose 1 and 0 are shown as yes and no, on their colours."""
    cell = {"id": "custom.cellOptions", "value": {"type": "color-background"}}
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": "mappings", "value": lamp("yes", "NO")}, cell],
    }


def dashed(legend: str) -> JSON:
    """A limit among measured lines: red and dashed."""
    return {
        "matcher": {"id": "byRegexp", "options": f"/{legend}/"},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": RED}},
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
        ],
    }


def variable(name: str, label: str, values: str) -> JSON:
    """A choice whose values are a label's; all of them at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": values, "refId": "variable"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard(uid: str, title: str, description: str, refresh: str, since: str, panels: Sequence[JSON]) -> JSON:
    """A whole dashboard: panels are laid out from left to right, then downwards."""
    x = y = tallest = 0
    for number, item in enumerate(panels, 1):
        place = item["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        item["id"] = number
        place |= {"x": x, "y": y}
        x, tallest = x + place["w"], max(tallest, place["h"])
    others = {"type": "dashboards", "title": "Andon", "tags": ["andon"], "asDropdown": False, "keepTime": True}
    runbook = {"type": "link", "title": "Runbook", "url": RUNBOOK, "icon": "doc", "targetBlank": True}
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["andon"],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": refresh,
        "time": {"from": f"now-{since}", "to": "now"},
        "timezone": "browser",
        "links": [others | {"includeVars": True}, runbook],
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "datasource": SOURCE,
                    "enable": True,
                    "iconColor": RED,
                    "expr": f'ALERTS{{alertstate="firing", severity=~"critical|warning", {LINE}}}',
                    "titleFormat": "{{alertname}}",
                    "textFormat": "{{camera}} {{instance}}",
                }
            ]
        },
        "templating": {
            "list": [
                variable("line", "Line", 'label_values(up{job=~"andon.*"}, job)'),
                variable("camera", "Camera", f"label_values(andon_frames_total{{{LINE}}}, camera)"),
                variable("model", "Model", f"label_values(andon_model_info{{{LINE}}}, model)"),
            ]
        },
        "panels": list(panels),
    }


def quantile(q: float, metric: str, by: str = "", where: str = LINE) -> str:
    """A quantile of a histogram over the rate interval."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[$__rate_interval])))"


def mean(metric: str) -> str:
    """The mean of a histogram over the rate interval."""
    return " / ".join(f"sum(rate({metric}_{part}{{{LINE}}}[$__rate_interval]))" for part in ("sum", "count"))


def flagged(verdict: str, shadow: str) -> str:
    """The share of the shadow's frames with this verdict of the model and that one of the shadow."""
    where = f'verdict="{verdict}", shadow="{shadow}", {CAMERA}'
    some, all_ = (f"sum(rate(andon_shadow_verdicts_total{{{labels}}}[$__rate_interval]))" for labels in (where, CAMERA))
    return f"{some} / {all_}"


STATES = [
    {"type": "range", "options": {"from": 100, "to": 131, "result": {"text": "SILENT", "color": GREY, "index": 0}}},
    {"type": "range", "options": {"from": 20, "to": 31, "result": {"text": "FROZEN", "color": GREY, "index": 1}}},
    {"type": "range", "options": {"from": 10, "to": 11, "result": {"text": "CANNOT SEE", "color": YELLOW, "index": 2}}},
    {"type": "value", "options": {"1": {"text": "DEFECT", "color": RED, "index": 3}}},
    {"type": "value", "options": {"0": {"text": "GOOD", "color": GREEN, "index": 4}}},
]


def line() -> JSON:
    """For the wall."""
    newest = f"camera:andon_last_frame_timestamp_seconds:max{{{CAMERA}}}"
    silence = "on (job) group_left () max by (job) (andon_silence_seconds)"
    return dashboard(
        "andon-line",
        "Line",
        "What is each camera doing now, and is the line watched?",
        "5s",
        "1h",
        [
            stat(
                "Cameras",
                "What each camera has seen within the last minute: good parts, a defect, frames that cannot be "
                "inspected, one picture again and again, or nothing at all.",
                [query(f"camera:andon_state:code{{{CAMERA}}}", "{{camera}}")],
                (24, 7),
                mappings=STATES,
                text="value_and_name",
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#camerasilent", "targetBlank": True}],
            ),
            stat(
                "Cameras sending",
                "Cameras whose newest frame is younger than source.silence.",
                [query(f"sum(time() - {newest} < bool {silence})", "sending")],
                (6, 4),
                colours=steps((None, RED), (1, GREEN)),
            ),
            stat(
                "Monitors",
                "Replicas that Prometheus reaches.",
                [query(f"sum(up{{{LINE}}})", "running")],
                (6, 4),
                colours=steps((None, RED), (1, GREEN)),
            ),
            stat(
                "Alerts",
                "Critical and warning alerts that are firing; each has a section in the runbook.",
                [query(ALERTS, "firing")],
                (6, 4),
                colours=steps((None, GREEN), (1, RED)),
                links=[{"title": "Runbook", "url": RUNBOOK, "targetBlank": True}],
            ),
            stat(
                "Parts a minute",
                "Frames answered with a verdict, all cameras.",
                [query(f"60 * sum(rate(andon_verdicts_total{{{CAMERA}}}[$__rate_interval]))", "parts")],
                (6, 4),
                decimals=0,
                colours=steps((None, BLUE)),
            ),
            lines(
                "Defect rate",
                "Defects among the parts inspected, over five minutes. What is usual depends on the line; a rise is "
                "found by the CUSUM on the dashboard Quality.",
                [query(f"camera:andon_defects:ratio5m{{{CAMERA}}}", "{{camera}}")],
                (12, 9),
                unit="percentunit",
                lower=0,
                fill=10,
            ),
            table(
                "Last defects",
                "For each camera when its newest defect was captured, and counts over the time shown.",
                [
                    query(f"max by (camera) (andon_last_defect_timestamp_seconds{{{CAMERA}}} * 1000 > 0)", table=True),
                    query(
                        f'sum by (camera) (increase(andon_verdicts_total{{verdict="defect", {CAMERA}}}[$__range]))',
                        table=True,
                    ),
                    query(f"sum by (camera) (increase(andon_verdicts_total{{{CAMERA}}}[$__range]))", table=True),
                ],
                (12, 9),
                names={"camera": "Camera", "Value #A": "Last defect", "Value #B": "Defects", "Value #C": "Frames"},
                overrides=[column("Last defect", "dateTimeFromNow")],
                decimals=0,
            ),
            panel(
                "state-timeline",
                "What the cameras saw",
                "The states above over time.",
                [query(f"camera:andon_state:code{{{CAMERA}}}", "{{camera}}")],
                (24, 7),
                mappings=STATES,
                custom={"fillOpacity": 80, "lineWidth": 0},
                options={"mergeValues": True, "showValue": "never", "legend": {"showLegend": False}},
            ),
        ],
    )


def quality() -> JSON:
    """For whoever asks whether parts are worse or the camera sees less."""
    limit = "max(andon_drift_limit{" + LINE + "})"
    drifts = [
        lines(
            f"Drift of the {signal}",
            f"{meaning} In standard deviations of the calibration frames; beyond a limit frames look different.",
            [
                query(f'camera_signal:andon_drift_score:current{{signal="{signal}", {CAMERA}}}', "{{camera}}"),
                query(limit, "upper limit"),
                query(f"-{limit}", "lower limit"),
            ],
            (8, 8),
            overrides=[dashed("limit")],
            links=[{"title": "Runbook", "url": f"{RUNBOOK}#{anchor}", "targetBlank": True}],
        )
        for signal, anchor, meaning in (
            ("score", "scoredrift", "Parts, light or model have changed as a whole."),
            ("brightness", "imagedrift", "The light has changed."),
            ("sharpness", "imagedrift", "The lens has moved, or is dirty."),
        )
    ]
    return dashboard(
        "andon-quality",
        "Quality",
        "Are the parts worse, or does the camera see them differently?",
        "30s",
        "6h",
        [
            lines(
                "Have defects become more frequent? (CUSUM)",
                "A Bernoulli CUSUM of the verdicts, part by part: at the limit the defect rate is up. Where the drifts "
                "below are quiet meanwhile, it is the parts.",
                [
                    query(f"camera:andon_defect_cusum:current{{{CAMERA}}}", "{{camera}}"),
                    query(f"min(andon_defect_cusum_limit{{{LINE}}})", "limit"),
                ],
                lower=0,
                overrides=[dashed("limit")],
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#defectrateup", "targetBlank": True}],
            ),
            lines(
                "Defect rate",
                "Defects among the parts inspected, over five minutes, and the share of good parts that the threshold "
                "was set to flag.",
                [
                    query(f"camera:andon_defects:ratio5m{{{CAMERA}}}", "{{camera}}"),
                    query(f"max(andon_false_alarm_rate{{{LINE}}})", "false-alarm rate (limit)"),
                ],
                unit="percentunit",
                lower=0,
                overrides=[dashed("limit")],
            ),
            *drifts,
            lines(
                "Scores against the threshold",
                "Median and 99th percentile of score / threshold by camera; above 1 is a defect. Dots are frames: "
                "their id finds the verdict.",
                [
                    query(quantile(0.5, "andon_score_ratio", "camera", MODEL), "{{camera}} median", dots=True),
                    query(quantile(0.99, "andon_score_ratio", "camera", MODEL), "{{camera}} 99 %"),
                ],
                limited=True,
                colours=steps((None, GREEN), (1, RED)),
                lower=0,
            ),
            panel(
                "heatmap",
                "Distribution of score / threshold",
                "How many parts lie where: a second band above 1 is a kind of defect, a band that moves is drift.",
                [
                    query(
                        f"sum by (le) (increase(andon_score_ratio_bucket{{{MODEL}}}[$__rate_interval]))",
                        "{{le}}",
                        heatmap=True,
                    )
                ],
                (12, 8),
                options={
                    "calculate": False,
                    "color": {"mode": "scheme", "scheme": "Blues", "reverse": False, "steps": 64},
                    "yAxis": {"unit": "short"},
                    "legend": {"show": False},
                    "cellGap": 1,
                },
            ),
            lines(
                "Scores by model",
                "Median of score / threshold by model: a new model may lie on another level.",
                [query(quantile(0.5, "andon_score_ratio", "model", MODEL), "{{model}}")],
                (8, 8),
                lower=0,
            ),
            lines(
                "Frames that could not be inspected",
                "By reason, a minute.",
                [
                    query(
                        f"60 * sum by (reason) (rate(andon_uninspectable_total{{{CAMERA}}}[$__rate_interval]))",
                        "{{reason}}",
                    )
                ],
                (8, 8),
                lower=0,
                custom={"stacking": {"mode": "normal"}},
                fill=40,
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#uninspectableframes", "targetBlank": True}],
            ),
            table(
                "Thresholds",
                "The score above which a part is a defect, by camera and replica; an operator's override shows here.",
                [query(f"max by (camera) (andon_threshold{{{CAMERA}}})", table=True)],
                (8, 8),
                names={"camera": "Camera", "Value": "Threshold"},
                decimals=3,
            ),
            lines(
                "Flagged by one of model and shadow",
                "Share of the frames that both judged; nothing where no shadow runs (shadow.path).",
                [
                    query(flagged("good", "defect"), "by the shadow alone"),
                    query(flagged("defect", "good"), "by the model alone"),
                ],
                unit="percentunit",
                lower=0,
            ),
            lines(
                "Scores of the shadow against its threshold",
                "Median and 99th percentile of its score / threshold by camera, as above for the model.",
                [
                    query(quantile(0.5, "andon_shadow_score_ratio", "camera", CAMERA), "{{camera}} median"),
                    query(quantile(0.99, "andon_shadow_score_ratio", "camera", CAMERA), "{{camera}} 99 %"),
                ],
                limited=True,
                colours=steps((None, GREEN), (1, RED)),
                lower=0,
            ),
            table(
                "Models in use",
                "Each replica's model, and how its threshold was set: conformal is measured, tail extrapolated.",
                [query(f"andon_model_info{{{LINE}}}", table=True)],
                (24, 6),
                hide=("Value",),
            ),
        ],
    )


def service() -> JSON:
    """For whoever keeps it running."""
    stages = (
        ("andon_queue_wait_seconds", "queue"),
        ("andon_decode_seconds", "decode"),
        ("andon_inference_seconds", "infer (a batch)"),
        ("andon_publish_seconds", "publish (a group)"),
    )
    late = f"job:andon_end_to_end_seconds:p99_5m{{{LINE}}} / on (job) max by (job) (andon_takt_seconds > 0)"
    return dashboard(
        "andon-service",
        "Service",
        "Does the monitor keep up, and where does the time go?",
        "30s",
        "1h",
        [
            stat(
                "Replicas that take frames",
                "Ready, of those that Prometheus knows; fewer than usual is a matter for the table below.",
                [query(f"sum(andon_ready{{{LINE}}})", "ready")],
                colours=steps((None, RED), (1, GREEN)),
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#monitornotready", "targetBlank": True}],
            ),
            stat(
                "Brokers",
                "Whether Kafka answers every replica; none where frames come from elsewhere.",
                [query(f"min(andon_kafka_up{{{LINE}}})", "kafka")],
                mappings=lamp("UP", "DOWN"),
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#kafkadown", "targetBlank": True}],
            ),
            stat(
                "Frames that wait",
                "In all topics. Some are there at any moment; a number that grows says that the monitors fall behind.",
                [query(f"sum(andon_consumer_lag_records{{{LINE}}})", "frames")],
                decimals=0,
                colours=steps((None, GREEN), (50, YELLOW), (500, RED)),
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#laggrowing", "targetBlank": True}],
            ),
            stat(
                "Latency of the takt",
                "99th percentile from capture to verdict, as a share of inspection.takt; above 100 % is too late.",
                [query(late, "share")],
                unit="percentunit",
                decimals=0,
                colours=steps((None, GREEN), (0.5, YELLOW), (1, RED)),
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#latencyovertakt", "targetBlank": True}],
            ),
            stat(
                "Busiest replica",
                "Share of the time in which its model works: the frames a second that it could take more are few where "
                "this is near 100 %.",
                [query(f"max({BUSY})", "busy")],
                unit="percentunit",
                decimals=0,
                colours=steps((None, GREEN), (0.7, YELLOW), (0.9, RED)),
            ),
            stat(
                "Alerts",
                "Critical and warning alerts that are firing; each has a section in the runbook.",
                [query(ALERTS, "firing")],
                colours=steps((None, GREEN), (1, RED)),
                links=[{"title": "Runbook", "url": RUNBOOK, "targetBlank": True}],
            ),
            table(
                "Replicas",
                "Whether each is ready, sees its brokers, uses or refuses the file at model.path, and its partitions.",
                [
                    query(f"max by (instance) (andon_ready{{{LINE}}})", table=True),
                    query(f"max by (instance) (andon_kafka_up{{{LINE}}})", table=True),
                    query(f"max by (instance) (andon_assigned_partitions{{{LINE}}})", table=True),
                    query(f"1 - max by (instance) (andon_model_refused{{{LINE}}})", table=True),
                    query(f"max by (instance) (time() - process_start_time_seconds{{{LINE}}})", table=True),
                ],
                (12, 7),
                names={
                    "instance": "Replica",
                    "Value #A": "Ready",
                    "Value #B": "Kafka",
                    "Value #C": "Partitions",
                    "Value #D": "Model file in use",
                    "Value #E": "Up for",
                },
                overrides=[answered("Ready"), answered("Kafka"), answered("Model file in use"), column("Up for", "s")],
                decimals=0,
            ),
            table(
                "What runs where",
                "Execution provider really in use, with whether another one was asked for, and versions.",
                [query(f"andon_provider_info{{{LINE}}}", table=True), query(f"andon_build_info{{{LINE}}}", table=True)],
                (12, 7),
                hide=("Value #A", "Value #B"),
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#providerfellback", "targetBlank": True}],
            ),
            lines(
                "Throughput",
                "Frames received and verdicts made durable, a second.",
                [
                    query(f"sum(rate(andon_frames_total{{{CAMERA}}}[$__rate_interval]))", "frames"),
                    query(f"sum(rate(andon_verdicts_total{{{CAMERA}}}[$__rate_interval]))", "verdicts"),
                ],
                unit="reqps",
                lower=0,
            ),
            lines(
                "Latency from capture to verdict",
                "Until the verdict is acknowledged; the takt is inspection.takt, 0 where none is set.",
                [
                    query(quantile(0.5, "andon_end_to_end_seconds"), "median"),
                    query(quantile(0.99, "andon_end_to_end_seconds"), "99 %", dots=True),
                    query(f"max(andon_takt_seconds{{{LINE}}})", "takt (limit)"),
                ],
                unit="s",
                lower=0,
                overrides=[dashed("limit")],
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#latencyovertakt", "targetBlank": True}],
            ),
            lines(
                "Where the time goes, on average",
                "Waiting for a place in a batch, decoding a frame, the model for a batch, acknowledgement of a group.",
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
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#laggrowing", "targetBlank": True}],
            ),
            lines(
                "Batch size",
                "Frames in one batch on average: 1 where the model waits for frames, more where they wait for it.",
                [query(mean("andon_batch_size"), "frames")],
                (8, 8),
                lower=0,
            ),
            lines(
                "What went wrong",
                "Uninspectable frames, dead letters, outages of the brokers, new assignments, over five minutes.",
                [
                    query(f"sum(increase(andon_uninspectable_total{{{LINE}}}[5m]))", "uninspectable"),
                    query(f"sum(increase(andon_dead_letters_total{{{LINE}}}[5m]))", "dead letters"),
                    query(f"sum(increase(andon_kafka_outages_total{{{LINE}}}[5m]))", "outages"),
                    query(f"sum(increase(andon_rebalances_total{{{LINE}}}[5m]))", "rebalances"),
                    query(f"sum(increase(andon_relinquished_frames_total{{{LINE}}}[5m]))", "left to another"),
                ],
                (8, 8),
                lower=0,
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
                links=[{"title": "Runbook", "url": f"{RUNBOOK}#memorygrowing", "targetBlank": True}],
            ),
            lines(
                "How busy the model is",
                "Share of the time in which each replica scores frames.",
                [query(BUSY, "{{instance}}")],
                (8, 8),
                unit="percentunit",
                lower=0,
            ),
        ],
    )


def render() -> dict[str, str]:
    """File name to content."""
    boards = {"line.json": line(), "quality.json": quality(), "service.json": service()}
    return {name: json.dumps(board, indent=1) + "\n" for name, board in boards.items()}


def main() -> None:
    """Write the files."""
    for name, content in render().items():
        (FOLDER / name).write_text(content)


if __name__ == "__main__":
    main()
