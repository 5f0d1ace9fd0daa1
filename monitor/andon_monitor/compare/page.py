"""A comparison as one self-contained HTML file: tables, score distributions, pictures of what changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from andon_monitor.common.html import environment
from andon_monitor.common.times import rfc3339
from andon_monitor.compare.facts import INTERVAL_WORDS, chance_words, describe_products, describe_sides
from andon_monitor.compare.limits import LimitResult
from andon_monitor.compare.results import (
    CHANGES,
    FALSE_ALARM_GONE,
    NEW_FALSE_ALARM,
    NEWLY_CAUGHT,
    NEWLY_MISSED,
    Change,
    Comparison,
    SideResult,
)
from andon_monitor.compare.sides import Judgement, ScoringSide, Side
from andon_monitor.errors import ImageError
from andon_monitor.image_files.decoding import decode
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model import imaging
from andon_monitor.model.heatmap import data_uri, heatmap

WORSE = (NEWLY_MISSED, NEW_FALSE_ALARM)
BETTER = (NEWLY_CAUGHT, FALSE_ALARM_GONE)
BINS = 60
MAX_RATIO = 3.0  # score / threshold; the last bin has all that is above
WIDTH, HEIGHT = 720.0, 200.0  # of the plot, in its own units


@dataclass(frozen=True)
class Picture:
    """A changed frame: the image, and the heatmap of each model that is compared, as data URIs."""

    place: str
    captured_at: str
    label: str | None
    before: str
    after: str
    image: str | None
    heatmaps: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Group:
    """Changes of one kind: how many, and the clearest of them."""

    kind: str
    tone: str
    count: int
    pictures: tuple[Picture, ...]


def render(
    comparison: Comparison, after: Side, before: Side | None, limits: Sequence[LimitResult], damage: str | None
) -> str:
    """The page's HTML. Models compute anomaly maps of the frames shown."""
    sides = [side for side in (comparison.before, comparison.after) if side is not None]
    return (
        environment("andon_monitor.compare")
        .get_template("page.html.jinja")
        .render(
            comparison=comparison,
            sides=sides,
            rows=describe_sides(sides),
            products=describe_products(comparison),
            limits=limits,
            damage=damage,
            interval=INTERVAL_WORDS,
            chance=None if comparison.p_value is None else chance_words(comparison.p_value),
            plot=_plot(sides),
            groups=[
                Group(kind, _tone(kind), comparison.counts[kind], _pictures(comparison, kind, after, before))
                for kind in CHANGES
                if comparison.counts[kind]
            ],
        )
    )


def _tone(kind: str) -> str:
    return "worse" if kind in WORSE else "better" if kind in BETTER else "other"


def _pictures(comparison: Comparison, kind: str, after: Side, before: Side | None) -> tuple[Picture, ...]:
    examples = sorted(comparison.examples[kind], reverse=True)
    return tuple(_picture(example.change, example.frame, after, before) for example in examples)


def _picture(change: Change, frame: Frame, after: Side, before: Side | None) -> Picture:
    image: str | None = None
    heatmaps = []
    for title, side in (("baseline", before), ("model", after)):
        if not isinstance(side, ScoringSide) or not isinstance(found := side.find(frame), Inspector):
            continue
        try:
            pixels = imaging.load(frame.data, found.model.card.input, found.rules.limits)
        except ImageError:
            continue
        image = data_uri(pixels)
        seen = found.model.explain(pixels[None])
        heatmaps.append((title, data_uri(heatmap(pixels, seen.anomaly_map[0], side.threshold_for(frame)))))
    if image is None and not heatmaps:
        inspectors = [side.find(frame) for side in (after, before) if isinstance(side, ScoringSide)]
        image = _without_model(frame, next((one for one in inspectors if isinstance(one, Inspector)), None))
    return Picture(
        place=f"{change.camera}, {change.file or f'{change.topic}/{change.partition}/{change.offset}'}",
        captured_at=rfc3339(change.captured_at),
        label=change.label,
        before=_describe(change.before),
        after=_describe(change.after),
        image=image,
        heatmaps=tuple(heatmaps),
    )


def _without_model(frame: Frame, inspector: Inspector | None) -> str | None:
    """The image itself, with the levels of a model where there is one; None if it cannot be decoded."""
    try:
        if inspector is None:
            return data_uri(decode(frame.data, 3))
        return data_uri(decode(frame.data, 3, inspector.model.card.input.levels, inspector.rules.limits))
    except ImageError:
        return None


def _describe(judged: Judgement) -> str:
    return f"{judged.outcome} ({judged.reason})" if judged.ratio is None else f"{judged.outcome} {judged.ratio:.2f}"


def _plot(sides: Sequence[SideResult]) -> dict[str, Any] | None:
    """Histograms of score / threshold, on one scale; square roots keep rare scores visible."""
    scores = [np.minimum(np.frombuffer(side.ratios), MAX_RATIO) for side in sides if side.ratios]
    if not scores:
        return None
    top = min(MAX_RATIO, max(1.2, 1.05 * max(float(ratios.max()) for ratios in scores)))
    bottom = min(0.0, *(float(ratios.min()) for ratios in scores))
    edges = np.linspace(bottom, top, BINS + 1)
    shares = [np.sqrt(np.histogram(ratios, edges)[0] / len(ratios)) for ratios in scores]
    highest = max(float(share.max()) for share in shares) or 1.0
    ticks = np.arange(0, top + 0.01, 0.25 if top < 2 else 0.5)

    def across(value: float) -> float:
        return round(WIDTH * (value - bottom) / (top - bottom), 1)

    return {
        "outlines": [_outline(share / highest) for share in shares],
        "threshold": across(1.0),
        "ticks": [(across(tick), f"{tick:g}" + ("+" if tick == MAX_RATIO else "")) for tick in ticks],
        "width": WIDTH,
        "height": HEIGHT,
    }


def _outline(heights: NDArray[np.float64]) -> str:
    """A histogram as the points of an SVG polygon."""
    step = WIDTH / len(heights)
    points = [(0.0, HEIGHT)]
    for i, height in enumerate(heights):
        level = HEIGHT * (1 - 0.95 * float(height))
        points += [(i * step, level), ((i + 1) * step, level)]
    points.append((WIDTH, HEIGHT))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
