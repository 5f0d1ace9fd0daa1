"""Pictures of the dashboards: the real stack lives through a short story, each panel's queries are drawn in its place.

    python -m tests.deploy.pictures FOLDER

Grafana itself draws more finely; what is shown, where, in which units and colours is what it gets from the same JSON.
"""

import argparse
import tempfile
import textwrap
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tests.fixtures.dashboards import NAMES, load, substitute
from tests.fixtures.small_model import build_model
from tests.fixtures.stack import Prometheus, Stack, running

COLOURS = {"green": "#56a64b", "yellow": "#f2cc0c", "red": "#e02f44", "blue": "#3274d9"}
SHOWN = 90  # seconds, all of the story


def tell(stack: Stack) -> None:
    """Good parts; a burst of defects at right, a frozen picture later; a darker lamp at left; silence at top."""
    time.sleep(30)
    stack.cameras.defects.add("right")
    time.sleep(6)
    stack.cameras.defects.clear()
    time.sleep(10)
    stack.cameras.dark.add("left")
    time.sleep(34)
    stack.cameras.silent.add("top")
    stack.cameras.frozen.add("right")
    time.sleep(16)


def draw(name: str, prometheus: Prometheus, path: Path) -> None:
    """One dashboard as a picture, 1920 pixels wide."""
    board, now = load(name), time.time()
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    plt.style.use("dark_background")
    figure = plt.figure(figsize=(19.2, rows * 0.38), dpi=100)
    for panel in board["panels"]:
        place = panel["gridPos"]
        x, y, width, height = place["x"] / 24, place["y"] / rows, place["w"] / 24, place["h"] / rows
        margin = 0.9 / rows
        axes = figure.add_axes((x + 0.03, 1 - y - height + margin, width - 0.04, height - 2 * margin))
        axes.set_title(panel["title"], fontsize=10, loc="left")
        DRAWERS[panel["type"]](axes, panel, prometheus, now)
    figure.savefig(path)
    plt.close(figure)


def _ranges(panel: dict[str, Any], prometheus: Prometheus, now: float) -> list[tuple[str, np.ndarray, np.ndarray]]:
    series = []
    for target in panel["targets"]:
        found = prometheus.get(
            "query_range", query=substitute(target["expr"]), start=str(now - SHOWN), end=str(now), step="1"
        )["result"]
        for item in found:
            points = np.array(item["values"], dtype=float)  # [T, 2], seconds and value
            series.append((_legend(target, item["metric"]), points[:, 0] - now, points[:, 1]))
    return series


def _instants(target: dict[str, Any], prometheus: Prometheus) -> list[tuple[dict[str, str], float]]:
    return prometheus.query(substitute(target["expr"]))


def _legend(target: dict[str, Any], labels: dict[str, str]) -> str:
    text = target["legendFormat"]
    for key, value in labels.items():
        text = text.replace("{{" + key + "}}", value)
    return text


def _lines(axes: Axes, panel: dict[str, Any], prometheus: Prometheus, now: float) -> None:
    for legend, times, values in _ranges(panel, prometheus, now):
        limit = any(
            override["matcher"]["options"].strip("/") in legend for override in panel["fieldConfig"]["overrides"]
        )
        axes.plot(times, values, "--" if limit else "-", color=COLOURS["red"] if limit else None, label=legend)
    axes.set_xlim(-SHOWN, 0)
    axes.legend(fontsize=7, loc="upper left")
    axes.tick_params(labelsize=7)
    axes.set_ylabel(panel["fieldConfig"]["defaults"]["unit"], fontsize=7)


def _heatmap(axes: Axes, panel: dict[str, Any], prometheus: Prometheus, now: float) -> None:
    series = {
        float(legend): (times, values) for legend, times, values in _ranges(panel, prometheus, now) if legend != "+Inf"
    }
    edges = sorted(series)
    counts = np.diff(np.array([series[edge][1] for edge in edges]), axis=0)
    axes.pcolormesh(series[edges[0]][0], edges[1:], counts, cmap="Blues", shading="nearest")
    axes.set_ylim(0, 3)
    axes.tick_params(labelsize=7)


def _stat(axes: Axes, panel: dict[str, Any], prometheus: Prometheus, now: float) -> None:
    (target,) = panel["targets"]
    found = _instants(target, prometheus)
    axes.set_axis_off()
    for i, (labels, value) in enumerate(found):
        text, colour = _mapped(panel, value)
        width = 1 / len(found)
        axes.add_patch(Rectangle((i * width + 0.01, 0), width - 0.02, 1, color=colour))
        name = _legend(target, labels) if panel["options"]["textMode"] == "value_and_name" else ""
        axes.text((i + 0.5) * width, 0.5, f"{name}\n{text}".strip(), ha="center", va="center", fontsize=16)


def _timeline(axes: Axes, panel: dict[str, Any], prometheus: Prometheus, now: float) -> None:
    names = []
    for legend, times, values in _ranges(panel, prometheus, now):
        names.append(legend)
        axes.barh([len(names) - 1] * len(times), 1.05, left=times, color=[_mapped(panel, v)[1] for v in values])
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(-SHOWN, 0)


def _table(axes: Axes, panel: dict[str, Any], prometheus: Prometheus, now: float) -> None:
    """The rows that `merge` and `organize` make."""
    organise = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
    rows: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for target in panel["targets"]:
        column = "Value" if len(panel["targets"]) == 1 else f"Value #{target['refId']}"
        for labels, value in _instants(target, prometheus):
            kept = {k: v for k, v in labels.items() if k not in organise["excludeByName"]}
            key = tuple(sorted(kept.items())) if column == "Value" else (("", kept.get("camera") or kept["instance"]),)
            text = datetime.fromtimestamp(value / 1000).strftime("%H:%M:%S") if value > 1e12 else f"{value:.6g}"
            rows.setdefault(key, {}).update(kept)
            if column not in organise["excludeByName"]:
                rows[key][column] = text
    columns = list(dict.fromkeys(name for cells in rows.values() for name in cells))
    axes.set_axis_off()
    cells = [["\n".join(textwrap.wrap(line.get(name, ""), 24)) for name in columns] for line in rows.values()]
    names = [organise["renameByName"].get(name, name) for name in columns]
    shown = axes.table(cells, colLabels=names, loc="upper left", cellLoc="left", edges="horizontal")
    shown.scale(1, 1.6)


def _mapped(panel: dict[str, Any], value: float) -> tuple[str, str]:
    """Text and colour of a value: its mapping, else its threshold."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults["mappings"]:
        options = mapping["options"]
        if mapping["type"] == "range" and options["from"] <= value <= options["to"]:
            result = options["result"]
        elif mapping["type"] == "value" and f"{value:g}" in options:
            result = options[f"{value:g}"]
        else:
            continue
        return result["text"], COLOURS.get(result["color"], result["color"])
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    text = f"{value:.1%}" if defaults["unit"] == "percentunit" else f"{value:.0f}"
    return text, COLOURS[steps[-1]["color"]]


DRAWERS = {
    "timeseries": _lines,
    "heatmap": _heatmap,
    "stat": _stat,
    "state-timeline": _timeline,
    "table": _table,
}


def main() -> None:
    """Run the stack and draw."""
    parser = argparse.ArgumentParser(description="Draw the dashboards from a run of the real stack.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(temporary) / "part.onnx"
        model.write_bytes(build_model())
        with running(Path(temporary), model) as stack:
            tell(stack)
            print("active:", {name: len(alerts) for name, alerts in stack.prometheus.active().items()})
            for name in NAMES:
                draw(name, stack.prometheus, folder / f"{name}.png")


if __name__ == "__main__":
    main()
