"""What dashboards are made of: queries, panels, and the words and colours they have in common.

Red is a loss, green says that something was measured and is right, grey that nothing is known. Series have others.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import yaml

PROMETHEUS = Path(__file__).parents[1] / "prometheus" / "prometheus.yml"
COMPOSE_GRAFANA = "http://localhost:3000"  # where Grafana of docker-compose.yml is, which serves the runbook as well
# Where people read docs/operator/runbook.md: set where the alerts have it from. Grafana's own pages need no host.
RUNBOOK = yaml.safe_load(PROMETHEUS.read_text())["global"]["external_labels"]["runbook"].removeprefix(COMPOSE_GRAFANA)
SOURCE = {"type": "prometheus", "uid": "andon-prometheus"}
# Of tiles with white words on them: the dark ones can be read from three metres.
GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "dark-green", "yellow", "dark-orange", "dark-red", "dark-blue", "#6e6e6e"
LIGHT_RED = "red"
SERIES = ("blue", "purple", "#70dbed", "#f2cc0c", "#e5a8e2", "super-light-orange", "#aea2e0")  # of the lines of a chart

JSON = dict[str, Any]

# How a line, a camera and a model are chosen: see `variables`.
LINE = 'job=~"$line"'
CAMERA = f'{LINE}, camera=~"$camera"'
MODEL = f'{CAMERA}, model=~"$model"'
# Added to a rate: a replica that died has one for as long as the rate looks back.
ALIVE = f"and on (job, instance) up{{{LINE}}} == 1"
BUSY = f"rate(andon_inference_seconds_sum{{{LINE}}}[$__rate_interval])"

NO_DATA = "NO DATA"
NOTHING = "No data in the time shown: no monitor ran, or no frame came."
INSTANT = ("stat", "table")  # kinds of panels that show what is now; what was must not stand there as if it were
# Upper end of an axis while everything measured is lower: a line of zeros is not drawn on an axis up to 10,000 %.
SOFT_MAX = {"percentunit": 0.05, "s": 0.1}


def query(expression: str, legend: str = "", *, heatmap: bool = False, dots: bool = False) -> JSON:
    """One query; `dots` are exemplars, which carry the ids of frames. `panel` says at which times it is asked."""
    return {
        "datasource": SOURCE,
        "expr": expression,
        "legendFormat": legend or "__auto",
        "format": "heatmap" if heatmap else "time_series",
        "exemplar": dots,
    }


def steps(*pairs: tuple[float, str]) -> JSON:
    """Colours from a value on. Below the first, and where there is no value, grey."""
    all_ = ((None, GREY), *pairs)
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in all_]}


def unknown(empty: str = NO_DATA, nan: str | None = None) -> list[JSON]:
    """Mappings of no value and of not a number, to words on grey."""
    if nan is None:
        return [_special("null+nan", empty, 20)]
    return [_special("nan", nan, 20), _special("null", empty, 21)]


def _special(match: str, text: str, index: int) -> JSON:
    return {"type": "special", "options": {"match": match, "result": {"text": text, "color": GREY, "index": index}}}


def panel(kind: str, title: str, description: str, queries: Sequence[JSON], size: tuple[int, int], **more: Any) -> JSON:
    """One panel, `size` in columns and rows. `empty` is what it says without data.

    `more`: unit, colours, mappings, lower, upper, decimals, options, ...
    """
    defaults: JSON = {
        "unit": more.get("unit", "none"),
        "noValue": more.get("empty", NOTHING),
        "thresholds": more.get("colours", steps()),
        "mappings": more.get("mappings", []),
        "custom": more.get("custom", {}),
    }
    defaults |= {name: more[key] for key, name in (("lower", "min"), ("upper", "max")) if key in more}
    defaults |= {key: more[key] for key in ("decimals", "color") if key in more}
    asked: JSON = {"instant": kind in INSTANT, "range": kind not in INSTANT}
    if kind == "table":
        asked["format"] = "table"
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": [target | asked | {"refId": letter(i)} for i, target in enumerate(queries)],
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": defaults, "overrides": more.get("overrides", [])},
        "options": more.get("options", {}),
        "transformations": more.get("transformations", []),
        "links": more.get("links", []),
    }


def letter(number: int) -> str:
    """The name of a panel's query: A, B, C."""
    return chr(ord("A") + number)


def runbook(alert: str = "") -> list[JSON]:
    """A link to an alert's section of the runbook, or to all of it."""
    return [{"title": "Runbook", "url": f"{RUNBOOK}#{alert}" if alert else RUNBOOK, "targetBlank": True}]


def lines(title: str, description: str, queries: Sequence[JSON], size: tuple[int, int] = (12, 8), **more: Any) -> JSON:
    """A chart over time; thresholds are drawn as lines where `limit` is set.

    Each query has a colour of its own, its series are shades of it; where one query alone has many series, their
    colours go by their names. `soft` is the upper end of the axis while all values are lower.
    """
    limited = more.pop("limited", False)
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": more.pop("fill", 0),
        "showPoints": "never",
        "spanNulls": False,
        "thresholdsStyle": {"mode": "line" if limited else "off"},
        "axisSoftMax": more.pop("soft", SOFT_MAX.get(more.get("unit", ""), 1)),
    } | more.pop("custom", {})
    options = {
        "legend": {"displayMode": "table", "placement": "right", "calcs": ["last"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    many = ["{{" in target["legendFormat"] for target in queries]
    names = _named() if sum(many) == 1 else []
    colours = [_coloured(i, shades) for i, shades in enumerate(many) if not (names and shades)]
    overrides = [*names, *colours, *more.pop("overrides", [])]
    return panel(
        "timeseries", title, description, queries, size, custom=custom, options=options, overrides=overrides, **more
    )


def _coloured(number: int, shades: bool) -> JSON:
    mode = "shades" if shades else "fixed"
    return {
        "matcher": {"id": "byFrameRefID", "options": letter(number)},
        "properties": [{"id": "color", "value": {"mode": mode, "fixedColor": SERIES[number % len(SERIES)]}}],
    }


def _named() -> list[JSON]:
    """Colours by the first word of a name: by its last digit (before a port), or by its first letter.

    The palettes of Grafana have red, which is for limits.
    """
    overrides = []
    for number, color in enumerate(SERIES):
        digits = "".join(digit for i, digit in enumerate("1234567890") if i % len(SERIES) == number)
        letters = "".join(letter for i, letter in enumerate(ascii_lowercase) if i % len(SERIES) == number)
        pattern = rf"/^[^\s:]*[{digits}](:\d+)?(\s|$)|^[{letters}]\S*[^\d\s](\s|$)/i"
        properties = [{"id": "color", "value": {"mode": "shades", "fixedColor": color}}]
        overrides.append({"matcher": {"id": "byRegexp", "options": pattern}, "properties": properties})
    return overrides


def stat(title: str, description: str, queries: Sequence[JSON], size: tuple[int, int] = (4, 4), **more: Any) -> JSON:
    """Large words and numbers, one for each series, on their colour. `sizes` are those of names and values in pixels.

    `nan` is what not a number says, if that is something else than no data.
    """
    options = {
        "colorMode": "background_solid",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": more.pop("text", "auto"),
        "wideLayout": False,  # the name above the value: the value has the whole width
        "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
    }
    sizes = dict(zip(("titleSize", "valueSize"), more.pop("sizes", ()), strict=False))
    options |= {"text": sizes} if sizes else {}
    mappings = [*more.pop("mappings", ()), *unknown(nan=more.pop("nan", None))]
    color = {"mode": "thresholds"}
    more = {"empty": NO_DATA, "decimals": 0} | more
    return panel("stat", title, description, queries, size, options=options, mappings=mappings, color=color, **more)


def table(
    title: str,
    description: str,
    queries: Sequence[JSON],
    size: tuple[int, int],
    columns: Mapping[str, str],
    **more: Any,
) -> JSON:
    """The newest values side by side, a row for each camera or replica.

    `columns` are the labels, and `A`, `B` for the queries' values, in their order, with their headings. Whatever else
    there is is hidden. `sort` is a column to sort by, descending with a minus.
    """
    by = more.pop("sort")
    names = {
        (f"Value #{key}" if len(queries) > 1 else "Value") if len(key) == 1 else key: columns[key] for key in columns
    }
    order = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": dict.fromkeys(sorted({"Time", "__name__", "Value", "job"} - {*names}), True),
                "includeByName": dict.fromkeys(names, True),
                "indexByName": {name: i for i, name in enumerate(names)},
                "renameByName": names,
            },
        },
    ]
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": by.lstrip("-"), "desc": by.startswith("-")}],
    }
    return panel(
        "table",
        title,
        description,
        queries,
        size,
        transformations=order,
        options=options,
        mappings=_dash(),
        color={"mode": "thresholds"},
        **more,
    )


def _dash() -> list[JSON]:
    """Mappings of cells without a value, and of empty labels."""
    return [*unknown("–"), _special("empty", "–", 22)]


def column(name: str, unit: str = "", **properties: Any) -> JSON:
    """What is special about one column of a table: its unit, `mappings`, width and others."""
    given = {key: value for key, value in ({"unit": unit} | properties).items() if value}
    if "mappings" in given:
        given["mappings"] = [*given["mappings"], *_dash()]
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": _property(key), "value": value} for key, value in given.items()],
    }


def _property(key: str) -> str:
    return f"custom.{key}" if key in ("width", "cellOptions", "align") else key


def lamp(on: str, off: str) -> list[JSON]:
    """1 and 0 as words on green and red."""
    return words({1: (on, GREEN), 0: (off, RED)})


def words(values: Mapping[float, tuple[str, str]]) -> list[JSON]:
    """Values as words, each with its colour."""
    return [
        {"type": "value", "options": {f"{value:g}": {"text": text, "color": color, "index": i}}}
        for i, (value, (text, color)) in enumerate(values.items())
    ]


def dashed(legend: str) -> JSON:
    """A limit among measured lines: red and dashed."""
    return {
        "matcher": {"id": "byRegexp", "options": f"/{legend}/"},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": LIGHT_RED}},
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


def of_every(rows: str, known: str, values: str) -> str:
    """`values` by the labels `rows`, NaN for each of `known` that has none: no row and no column is missing."""
    return f"max by ({rows}) ({values}) or on ({rows}) NaN * max by ({rows}) ({known})"
