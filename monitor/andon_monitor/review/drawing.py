"""Curves and histograms as numbers for the SVG in templates; its attributes are allowed by the security policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CURVE_WIDTH, CURVE_HEIGHT = 300, 130  # SVG units
MAX_RATIO = 2.0  # score / threshold at the top of a curve; higher ones are drawn there too
BINS = 48


@dataclass(frozen=True, slots=True)
class Curve:
    """Score / threshold over time. `lines` are the points of SVG polylines, `dots` (x, y) of defects."""

    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    threshold: float  # y of its line
    width: int = CURVE_WIDTH
    height: int = CURVE_HEIGHT


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars (x, y, width, height), the threshold's x, and ticks (x, text)."""

    bars: tuple[tuple[float, float, float, float], ...]
    threshold: float
    ticks: tuple[tuple[float, str], ...]
    width: int = 600
    height: int = 160


def curve(ratios: Sequence[float | None], slots: int) -> Curve:
    """Up to `slots` ratios of score to threshold, the newest at the right; None (uninspectable) is a gap."""
    lines: list[list[str]] = [[]]
    dots = []
    for i, ratio in enumerate(ratios, start=slots - len(ratios)):
        if ratio is None:
            lines.append([])
            continue
        x, y = round(i * CURVE_WIDTH / max(1, slots - 1), 1), _height(ratio)
        lines[-1].append(f"{x},{y}")
        if ratio > 1:
            dots.append((x, y))
    return Curve(tuple(" ".join(line) for line in lines if line), tuple(dots), _height(1.0))


def histogram(scores: Sequence[float], threshold: float) -> Histogram:
    """Calibration scores and the threshold; heights are square roots, so that rare scores stay visible."""
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
    return round(CURVE_HEIGHT * (1 - min(max(ratio, 0.0), MAX_RATIO) / MAX_RATIO), 1)
