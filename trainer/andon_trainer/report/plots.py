"""The curves of the report as SVG in the page: text stays text, colours follow the light or dark page."""

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from andon_trainer.data.sample import GOOD
from andon_trainer.evaluation import Evaluation
from andon_trainer.training.schedule import TrainedNetwork

# Placeholder colours that matplotlib writes; each becomes a variable of `report.css`.
INK, MUTED, GRID = "#010101", "#010102", "#010103"
CALIBRATION, GOOD_COLOUR, DEFECT = "#010104", "#010105", "#010106"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    CALIBRATION: "--calibration",
    GOOD_COLOUR: "--good",
    DEFECT: "--defect",
}
WIDTH, HEIGHT = 460, 290  # points; about the width of a phone: on it, a wider drawing would have smaller text
# Where scores exceed this many times the threshold, a linear axis would squeeze the good parts into one bar.
LOGARITHMIC_ABOVE = 3.0
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.frameon": False,
    "legend.fontsize": 11.5,
    "lines.linewidth": 2.2,
    "lines.solid_capstyle": "round",
}


def learning_curve(fitted: TrainedNetwork) -> Markup:
    """Training and validation loss over iterations, with the networks kept, and the learning rate below."""
    with _style():
        figure = _figure()
        loss, rate = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        looks = fitted.evaluations
        iterations = [look.iteration for look in looks]
        validation = [look.validation_loss for look in looks]
        marker = "o" if len(looks) == 1 else None
        loss.plot(
            iterations, [look.training_loss for look in looks], color=CALIBRATION, marker=marker, label="training"
        )
        loss.plot(iterations, validation, color=GOOD_COLOUR, label="validation")
        if fitted.kept:
            kept = zip(*((look.iteration, look.validation_loss) for look in fitted.kept), strict=True)
            loss.plot(*kept, "o", color=GOOD_COLOUR, markersize=7, label="kept")
        loss.set_ylabel("loss")
        # The first losses may be many times the last ones, whose differences matter.
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        loss.yaxis.set_minor_locator(NullLocator())
        loss.legend(ncols=3, loc="upper right", borderaxespad=0, columnspacing=1.2, handlelength=1.4)
        rate.plot(iterations, [look.learning_rate for look in looks], color=MUTED, linewidth=1.6, marker=marker)
        rate.set_ylim(bottom=0)
        rate.yaxis.set_major_locator(MaxNLocator(2))
        rate.set_ylabel("learning\nrate")
        rate.set_xlabel("iterations")
        figure.align_ylabels()
        return _svg(figure, "Loss over iterations")


def score_histogram(
    calibration: NDArray[np.float64], evaluation: Evaluation | None, threshold: float, count: int
) -> Markup:
    """The distribution of scores in units of the threshold, each group as shares of its own images.

    `calibration`: float [n], the scores the threshold was set on (n may be a grid of quantiles of `count` scores).
    """
    groups = [(f"calibration ({count})", CALIBRATION, calibration)]
    if evaluation is not None:
        scores, is_defect = _arrays(evaluation)
        for name, colour, chosen in (("good", GOOD_COLOUR, ~is_defect), ("defects", DEFECT, is_defect)):
            if chosen.any():
                groups.append((f"{name} ({chosen.sum()})", colour, scores[chosen]))
    ratios = [(name, colour, values / max(threshold, 1e-6)) for name, colour, values in groups]
    low = min(1.0, *(float(values.min()) for _, _, values in ratios))
    high = max(1.0, *(float(values.max()) for _, _, values in ratios))
    logarithmic = low > 0 and high > LOGARITHMIC_ABOVE
    with _style():
        figure = _figure()
        axes = figure.subplots()
        margin = 0.03 * (high - low) or 0.1
        edges = (
            np.geomspace(low / 1.05, high * 1.05, 41) if logarithmic else np.linspace(low - margin, high + margin, 41)
        )
        for name, colour, values in ratios:
            shares = 100 * np.histogram(values, edges)[0] / len(values)
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.30)
            axes.stairs(shares, edges, color=colour, linewidth=1.8, label=name)
        axes.axvline(1, color=INK, linewidth=1.6, linestyle=(0, (4, 3)), label="threshold")
        if logarithmic:
            axes.set_xscale("log")
            ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low / 1.05 <= tick <= high * 1.05]
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_xticks([], minor=True)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("score ÷ threshold")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
        axes.set_ylabel("share of images")
        # Above the axes: inside, it could cover the threshold or a group.
        figure.legend(loc="outside upper center", ncols=4, columnspacing=1.1, handlelength=1.1, handletextpad=0.5)
        return _svg(figure, "Histogram of scores")


def distribution(values: NDArray[np.float64], outliers: Sequence[float], label: str) -> Markup:
    """The distribution of a quantity, float [N], over images, with the outliers marked on the axis."""
    with _style():
        figure = _figure(HEIGHT / 2)
        axes = figure.subplots()
        low, high = float(values.min()), float(values.max())
        margin = 0.03 * (high - low) or 0.05 * abs(high) or 0.5
        counts, edges = np.histogram(values, np.linspace(low - margin, high + margin, 41))
        axes.stairs(counts, edges, fill=True, color=GOOD_COLOUR, alpha=0.45)
        axes.plot(outliers, [0] * len(outliers), "^", color=DEFECT, markersize=8, clip_on=False, zorder=5)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.set_ylabel("images")
        return _svg(figure, f"Histogram of {label}", HEIGHT / 2)


def roc(evaluation: Evaluation) -> Markup:
    """Detection rate over false-alarm rate, with the stored threshold marked."""
    scores, is_defect = _arrays(evaluation)
    false_alarms, detection, _ = roc_curve(is_defect, scores)
    flagged = scores > evaluation.threshold
    with _style():
        figure = _figure()
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.4, linestyle=(0, (4, 3)))
        axes.fill_between(false_alarms, detection, color=GOOD_COLOUR, alpha=0.12, linewidth=0)
        axes.plot(false_alarms, detection, color=GOOD_COLOUR, label=f"AUROC {evaluation.image_auroc:.4f}")
        axes.plot(flagged[~is_defect].mean(), flagged[is_defect].mean(), **_threshold_marker())
        _unit_axes(axes, "false-alarm rate", "detection rate")
        return _svg(figure, "ROC curve")


def precision_recall(evaluation: Evaluation) -> Markup:
    """Precision over recall, with the stored threshold marked."""
    scores, is_defect = _arrays(evaluation)
    precision, recall, _ = precision_recall_curve(is_defect, scores)
    flagged = scores > evaluation.threshold
    with _style():
        figure = _figure()
        axes = figure.subplots()
        share = float(is_defect.mean())
        axes.plot([0, 1], [share, share], color=GRID, linewidth=1.4, linestyle=(0, (4, 3)))
        axes.fill_between(recall, precision, color=DEFECT, alpha=0.12, linewidth=0)
        axes.plot(recall, precision, color=DEFECT, label=f"average precision {evaluation.average_precision:.4f}")
        if flagged.any():
            axes.plot(flagged[is_defect].mean(), is_defect[flagged].mean(), **_threshold_marker())
        _unit_axes(axes, "recall (share of defects found)", "precision")
        return _svg(figure, "Precision-recall curve")


def _arrays(evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    scores = np.array([image.score for image in evaluation.images])
    is_defect = np.array([image.label != GOOD for image in evaluation.images])
    return scores, is_defect


def _style() -> AbstractContextManager[None]:
    return matplotlib.rc_context(STYLE)  # type: ignore[arg-type]  # its keys are literals, thousands of them


def _figure(height: float = HEIGHT) -> Figure:
    return Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")


def _threshold_marker() -> dict[str, Any]:
    return {
        "marker": "o",
        "color": INK,
        "markersize": 8,
        "linestyle": "none",
        "label": "at the stored threshold",
        "clip_on": False,
        "zorder": 5,
    }


def _unit_axes(axes: Axes, x: str, y: str) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x, ylabel=y)
    axes.legend(loc="lower right", handlelength=1.4)


def _svg(figure: Figure, title: str, height: float = HEIGHT) -> Markup:
    """A figure as an SVG element for an HTML page, without the head of a file and links to schemas."""
    buffer = io.StringIO()
    # The salt names clip paths: different in each figure of the page, and the same in every run.
    with matplotlib.rc_context({"svg.hashsalt": title}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]+;? ?", "", svg)
    svg = re.sub(r"(font: [\d.]+px)[^;\"]*", r"\1 system-ui", svg)
    head = f'<svg class="plot" role="img" aria-label="{title}" viewBox="0 0 {WIDTH} {height:g}">'
    svg = re.sub(r"<svg[^>]*>", head, svg, count=1)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg)  # safe: no text in it comes from files
