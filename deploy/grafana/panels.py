"""What dashboards are made of: queries, panels, and the words and colours they have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

PROMETHEUS = Path(__file__).parents[1] / "prometheus" / "prometheus.yml"
# Where people read docs/operator/runbook.md: set where the alerts have it from.
RUNBOOK = yaml.safe_load(PROMETHEUS.read_text())["global"]["external_labels"]["runbook"]
SOURCE = {"type": "prometheus", "uid": "andon-prometheus"}
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#8e8e8e"

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


def quantile(q: float, metric: str, by: str = "", where: str = LINE) -> str:
    """A quantile of a histogram over the rate interval."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[$__rate_interval])))"


def mean(metric: str) -> str:
    """The mean of a histogram over the rate interval."""
    return " / ".join(f"sum(rate({metric}_{part}{{{LINE}}}[$__rate_interval]))" for part in ("sum", "count"))
