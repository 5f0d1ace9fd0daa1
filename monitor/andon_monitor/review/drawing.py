"""Curves and histograms as numbers for the templates' SVG, whose attributes no content security policy minds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 300, 130
TOP_RATIO = 2.0  # of a camera's curve, in thresholds; what is above is drawn at the top
BINS = 48


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores over their threshold. `lines` are point lists of an SVG polyline, `dots` (x, y) of defects."""

    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    threshold: float  # height of the line
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars (x, y, width, height), the threshold's place, and ticks (x, text)."""

    bars: tuple[tuple[float, float, float, float], ...]
    threshold: float
    ticks: tuple[tuple[float, str], ...]
    width: int = 600
    height: int = 160


def curve(ratios: Sequence[float | None], slots: int) -> Curve:
    """Draw up to `slots` scores in thresholds, the newest at the right; None (uninspectable) is a gap."""
    lines: list[list[str]] = [[]]
    dots = []
    for i, ratio in enumerate(ratios, start=slots - len(ratios)):
        if ratio is None:
            lines.append([])
            continue
        x, y = round(i * WIDTH / max(1, slots - 1), 1), _height(ratio)
        lines[-1].append(f"{x},{y}")
        if ratio > 1:
            dots.append((x, y))
    return Curve(tuple(" ".join(line) for line in lines if line), tuple(dots), _height(1.0))


def histogram(scores: Sequence[float], threshold: float) -> Histogram:
    """Calibration scores and where the threshold lies; the heights are square roots, so that a few are seen too."""
    low, high = min(scores), max(max(scores), threshold)
    margin = 0.04 * (high - low) or 1.0
    counts, edges = np.histogram(scores, BINS, (low - margin, high + margin))
    size = Histogram((), 0.0, ())
    step = size.width / BINS
    tallest = float(counts.max()) ** 0.5 or 1.0
    bars = []
    for i, count in enumerate(counts):
        tall = size.height * float(count) ** 0.5 / tallest
        bars.append((round(i * step, 2), round(size.height - tall, 2), round(step - 1, 2), round(tall, 2)))

    def place(value: float) -> float:
        return round(size.width * (value - edges[0]) / (edges[-1] - edges[0]), 2)

    ticks = tuple((place(value), f"{value:.2f}") for value in np.linspace(edges[0], edges[-1], 7)[1:-1])
    return Histogram(tuple(bars), place(threshold), ticks)


def _height(ratio: float) -> float:
    return round(HEIGHT * (1 - min(max(ratio, 0.0), TOP_RATIO) / TOP_RATIO), 1)
