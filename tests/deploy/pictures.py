"""Pictures of the dashboards: the real stack lives through a short story, each panel's queries are drawn in its place.

    python -m tests.deploy.pictures FOLDER

Grafana itself draws more finely; what is shown, where, in which units and colours is what it gets from the same JSON.
"""

import argparse
import tempfile
import textwrap
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from tests.fixtures.dashboards import NAMES, load
from tests.fixtures.grafana import JSON, Values, Viewer, configured, display
from tests.fixtures.small_model import build_model
from tests.fixtures.stack import Stack, running

COLOURS = {
    **{"yellow": "#f2cc0c", "red": "#f2495c", "blue": "#5794f2", "purple": "#b877d9", "super-light-orange": "#ffcb7d"},
    **{
        "dark-green": "#37872d",
        "dark-orange": "#fa6400",
        "dark-red": "#c4162a",
        "dark-blue": "#1f60c4",
        "text": "#ccc",
    },
}
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


def draw(name: str, viewer: Viewer, path: Path) -> None:
    """One dashboard as a picture, 1920 pixels wide."""
    board = load(name)
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    plt.style.use("dark_background")
    figure = plt.figure(figsize=(19.2, rows * 0.38), dpi=100)
    for panel in board["panels"]:
        place = panel["gridPos"]
        x, y, width, height = place["x"] / 24, place["y"] / rows, place["w"] / 24, place["h"] / rows
        margin = 0.9 / rows
        axes = figure.add_axes((x + 0.03, 1 - y - height + margin, width - 0.04, height - 2 * margin))
        axes.set_title(panel["title"], fontsize=10, loc="left")
        if (message := viewer.message(board, panel)) and panel["type"] != "stat":
            axes.set_axis_off()
            axes.text(0.5, 0.5, message, ha="center", va="center", fontsize=9, wrap=True)
        else:
            DRAWERS[panel["type"]](axes, board, panel, viewer)
    figure.savefig(path)
    plt.close(figure)


def _series(board: JSON, panel: JSON, viewer: Viewer) -> list[Values]:
    return [one for answer in viewer.ask(board, panel) for one in answer]


def _lines(axes: Axes, board: JSON, panel: JSON, viewer: Viewer) -> None:
    for one in _series(board, panel, viewer):
        config = configured(panel, one.name, one.ref)
        dash = "--" if config["custom"].get("lineStyle", {}).get("fill") == "dash" else "-"
        color = _colour(config["color"]["fixedColor"])
        axes.plot([time - viewer.now for time in one.times], one.values, dash, color=color, label=one.name)
    axes.set_xlim(-SHOWN, 0)
    axes.legend(fontsize=7, loc="upper left")
    axes.tick_params(labelsize=7)
    axes.set_ylabel(panel["fieldConfig"]["defaults"]["unit"], fontsize=7)


def _heatmap(axes: Axes, board: JSON, panel: JSON, viewer: Viewer) -> None:
    series = {float(one.name): one for one in _series(board, panel, viewer) if one.name != "+Inf"}
    edges = sorted(series)
    counts = np.diff(np.array([series[edge].values for edge in edges]), axis=0)
    times = [time - viewer.now for time in series[edges[0]].times]
    axes.pcolormesh(times, edges[1:], counts, cmap="Blues", shading="nearest")
    axes.set_ylim(0, 3)
    axes.tick_params(labelsize=7)


def _stat(axes: Axes, board: JSON, panel: JSON, viewer: Viewer) -> None:
    found = viewer.tiles(board, panel)
    axes.set_axis_off()
    for i, tile in enumerate(found):
        width = 1 / len(found)
        axes.add_patch(Rectangle((i * width + 0.01, 0), width - 0.02, 1, color=_colour(tile.color)))
        name = tile.name if panel["options"]["textMode"] == "value_and_name" else ""
        axes.text((i + 0.5) * width, 0.5, f"{name}\n{tile.text}".strip(), ha="center", va="center", fontsize=16)


def _timeline(axes: Axes, board: JSON, panel: JSON, viewer: Viewer) -> None:
    series = _series(board, panel, viewer)
    for number, one in enumerate(series):
        colours = [_colour(display(configured(panel, one.name), value, viewer.now)[1]) for value in one.values]
        axes.barh([number] * len(one.times), 15, left=[time - viewer.now for time in one.times], color=colours)
    axes.set_yticks(range(len(series)), [one.name for one in series])
    axes.set_xlim(-SHOWN, 0)


def _table(axes: Axes, board: JSON, panel: JSON, viewer: Viewer) -> None:
    rows = viewer.rows(board, panel)
    axes.set_axis_off()
    cells = [["\n".join(textwrap.wrap(cell.text, 24)) for cell in row.values()] for row in rows]
    shown = axes.table(cells, colLabels=[*rows[0]], loc="upper left", cellLoc="left", edges="horizontal")
    shown.scale(1, 1.6)


def _colour(name: str) -> str:
    return COLOURS.get(name, name)


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
                viewer = Viewer(stack.prometheus, time.time(), seconds=SHOWN)
                draw(name, viewer, folder / f"{name}.png")


if __name__ == "__main__":
    main()
