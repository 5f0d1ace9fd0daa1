"""What another threshold would have done: counted on verdicts and labels of the line, with the frames that change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from andon_monitor.errors import UsageError
from andon_monitor.model.calibration import MAX_RATE, MIN_RATE, Calibration, calibrate
from andon_monitor.model.card import Card
from andon_monitor.model.recalibration import rate_of
from andon_monitor.review import drawing
from andon_monitor.review.figures import KnownModel, ThresholdOutcome, apply_threshold
from andon_monitor.review.filters import parse_number
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery, LabelledScore, Span, StoredFrame, ThresholdEffect

HOUR_SECONDS = 3600.0
SHIFT_HOURS = 8.0
MIN_SPAN_SECONDS = 60.0  # of verdicts, to tell how many parts a shift has
PERIODS = (8, 24, 168)  # hours that may be chosen: a shift, a day, a week
FRAMES_SHOWN = 12  # that change, of each kind
# Rates of the slider: as people choose them, from 1 in 10,000 parts to 1 in 5.
STEPS = (1, 1.5, 2, 3, 4, 5, 7)
RATES = (*(round(step * 10**power, 6) for power in (-4, -3, -2) for step in STEPS), 0.1, 0.15, 0.2)
UNITS = {"percent": "% of good parts", "shift": "parts a shift", "threshold": "threshold"}
MAX_PARTS = 1e7  # parts a shift that may be typed
# Scores above this many thresholds are counted in the last bin: a gross defect would squeeze all others to the left.
MAX_RATIO_DRAWN = 3.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a visitor wants to try, from a page's query. Texts as typed; `message` says what was wrong with them."""

    camera: str
    hours: int
    unit: str
    value: str
    parts: float | None  # a shift


@dataclass(frozen=True, slots=True)
class Tried:
    """A threshold, and what it does. `parts` are those of a shift; expected false alarms are rate x parts."""

    rate: float
    threshold: float
    is_supported: bool
    is_present: bool
    parts: float
    effects: Sequence[ThresholdEffect]
    before: ThresholdOutcome
    after: ThresholdOutcome
    added: Sequence[StoredFrame]
    removed: Sequence[StoredFrame]
    added_total: int
    removed_total: int
    frames: int
    since: float | None
    until: float | None
    plot: drawing.Layers
    message: str = ""

    @property
    def alarms_a_shift(self) -> float:
        """False alarms expected in a shift of good parts."""
        return self.rate * self.parts


def read_asked(query: "dict[str, str]", cameras: Sequence[str]) -> Asked:
    """What a page's query asks for; values that make no sense are ignored."""
    hours = query.get("hours", "")
    parts = parse_number(query.get("parts", ""))
    return Asked(
        camera=query.get("camera", "") if query.get("camera", "") in cameras else "",
        hours=int(hours) if hours in map(str, PERIODS) else PERIODS[1],
        unit=query.get("unit", "") if query.get("unit", "") in UNITS else "percent",
        value=query.get("value", "")[:40].strip(),
        parts=parts if parts is not None and 1 <= parts <= MAX_PARTS else None,
    )


def family(models: Sequence[KnownModel], chosen: KnownModel) -> list[str]:
    """The sha256 of all models with the weights of the chosen one: their scores are the same."""
    weights = chosen.card.weights_sha256
    return [chosen.sha256, *(m.sha256 for m in models if m.card.weights_sha256 == weights and m is not chosen)]


def try_threshold(store: Store, chosen: KnownModel, models: Sequence[str], asked: Asked) -> Tried:
    """What the threshold asked for, or the model's own, does to the frames of `models`."""
    camera = asked.camera or None
    span = store.verdicts.span(models, camera)
    since = None if span is None else max(span.first, span.last - HOUR_SECONDS * asked.hours)
    parts = asked.parts or _parts_a_shift(store.verdicts.span(models, camera, since))
    card, message = chosen.card, ""
    calibration = card.calibration
    try:
        rate = read_rate(asked, calibration, parts)
    except UsageError as error:
        rate, message = None, str(error)
    new = calibration if rate is None else calibrate(calibration.scores, rate)
    threshold = new.threshold
    decided = store.frames.decided_scores(*models, camera=camera)
    effects: list[ThresholdEffect] = []
    added: list[StoredFrame] = []
    removed: list[StoredFrame] = []
    if since is not None:
        effects = store.verdicts.effects(models, threshold, since, camera)
        query = FrameQuery(models=tuple(models), camera=camera, since=since, with_picture=True)
        added, removed = store.frames.changed_by(threshold, query, FRAMES_SHOWN)
    return Tried(
        rate=new.false_alarm_rate,
        threshold=threshold,
        is_supported=new.is_supported,
        is_present=threshold == card.threshold,
        parts=parts,
        effects=effects,
        before=apply_threshold(decided, card.threshold),
        after=apply_threshold(decided, threshold),
        added=added,
        removed=removed,
        added_total=sum(effect.added for effect in effects),
        removed_total=sum(effect.removed for effect in effects),
        frames=sum(effect.frames for effect in effects),
        since=since,
        until=None if span is None else span.last,
        plot=_plot(store, card, decided, models, threshold, since, camera, span),
        message=message,
    )


def read_rate(asked: Asked, calibration: Calibration, parts: float) -> float | None:
    """The false-alarm rate asked for, None where nothing is. Raises UsageError."""
    if not asked.value:
        return None
    number = parse_number(asked.value.replace(",", "."))
    if number is None:
        raise UsageError(f"{asked.value[:40]!r} is no number")
    if asked.unit == "threshold":
        return rate_of(calibration, number)
    rate = number / 100 if asked.unit == "percent" else number / parts
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UsageError(f"{asked.value[:40]}: give more than 0 and at most {100 * MAX_RATE:g} % of good parts")
    return rate


def _parts_a_shift(span: Span | None) -> float:
    """As many as were inspected, for a shift; 1000 where too little is known."""
    if span is None or span.last - span.first < MIN_SPAN_SECONDS:
        return 1000.0
    return max(1.0, float(f"{span.frames / (span.last - span.first) * SHIFT_HOURS * HOUR_SECONDS:.2g}"))


def _plot(
    store: Store,
    card: Card,
    decided: Sequence[LabelledScore],
    models: Sequence[str],
    threshold: float,
    since: float | None,
    camera: str | None,
    span: Span | None,
) -> drawing.Layers:
    scores = np.array(card.calibration.scores)
    top = max(card.threshold, threshold)
    seen = top if span is None else min(span.highest, top + (MAX_RATIO_DRAWN - 1) * abs(top))
    high = max(float(scores[-1]), top, seen)
    low = min(float(scores[0]), threshold)
    margin = 0.03 * (high - low) or 1.0
    edges = low - margin, high + margin, drawing.BINS
    series: dict[str, Sequence[int]] = {"good parts at calibration": _bins(scores, edges)}
    good = np.array([frame.score for frame in decided if frame.label != "confirmed"])
    defects = np.array([frame.score for frame in decided if frame.label == "confirmed"])
    if len(good):
        series["labelled good"] = _bins(good, edges)
    if len(defects):
        series["labelled defect"] = _bins(defects, edges)
    if since is not None:
        series["verdicts of the period"] = store.verdicts.counts(models, edges, since, camera)
    return drawing.layers(series, edges, card.threshold, threshold)


def _bins(scores: np.ndarray, edges: tuple[float, float, int]) -> list[int]:
    low, high, bins = edges
    places = np.clip(((scores - low) * bins / (high - low)).astype(int), 0, bins - 1)
    return np.bincount(places, minlength=bins).tolist()
