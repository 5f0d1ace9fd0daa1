"""Curves and histograms as numbers for the SVG in templates; its attributes are allowed by the security policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CURVE_WIDTH, CURVE_HEIGHT = 300, 130  # SVG units
MAX_RATIO = 2.0  # score / threshold at the top of a curve; higher ones are drawn there too
BINS = 48
PLOT_WIDTH, LAYER_HEIGHT, NAME_HEIGHT = 600, 60, 20  # SVG units
MAX_CHOICES = 500  # cameras in a list to choose from


@dataclass(frozen=True, slots=True)
class Curve:
    """Score / threshold over time. `lines` are the points of SVG polylines, `dots` (x, y) of defects."""

    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    threshold: float  # y of its line
    width: int = CURVE_WIDTH
    height: int = CURVE_HEIGHT


@dataclass(frozen=True, slots=True)
class Layer:
    """A histogram among others. `bars` (x, y, width, height); `top` is the y of its name; `total` counts scores."""

    name: str
    total: int
    top: float
    base: float
    bars: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Layers:
    """Histograms under each other on one axis, with the x of the present and of another threshold."""

    layers: tuple[Layer, ...]
    present: float
    other: float
    ticks: tuple[tuple[float, str], ...]
    height: float
    width: int = PLOT_WIDTH


def layers(
    series: Mapping[str, Sequence[int]], edges: tuple[float, float, int], present: float, other: float
) -> Layers:
    """Histograms with the same bins, `edges` being from, to and number; heights are square roots."""
    low, high, bins = edges

    def place(value: float) -> float:
        return round(PLOT_WIDTH * min(max((value - low) / (high - low), 0.0), 1.0), 2)

    step, drawn = PLOT_WIDTH / bins, []
    for i, (name, counts) in enumerate(series.items()):
        top = i * (LAYER_HEIGHT + NAME_HEIGHT)
        base = top + NAME_HEIGHT + LAYER_HEIGHT
        tallest = max(counts, default=0) ** 0.5 or 1.0
        bars = tuple(
            (round(k * step, 2), round(base - tall, 2), round(step - 1, 2), round(tall, 2))
            for k, count in enumerate(counts)
            if count and (tall := LAYER_HEIGHT * count**0.5 / tallest)
        )
        drawn.append(Layer(name, sum(counts), top, base, bars))
    ticks = tuple((place(value), f"{value:.3g}") for value in np.linspace(low, high, 7)[1:-1])
    return Layers(tuple(drawn), place(present), place(other), ticks, len(drawn) * (LAYER_HEIGHT + NAME_HEIGHT))


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


def _height(ratio: float) -> float:
    return round(CURVE_HEIGHT * (1 - min(max(ratio, 0.0), MAX_RATIO) / MAX_RATIO), 1)
