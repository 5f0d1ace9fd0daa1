"""What a comparison found: each side counted, the changed frames, and what labels tell about them."""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from andon_monitor.common.intervals import INTERVAL, Rate, rate, sign_test
from andon_monitor.common.times import rfc3339
from andon_monitor.compare.sides import Judgement
from andon_monitor.inspection.frames import OUTCOMES, Frame, Position
from andon_monitor.inspection.part import Part
from andon_monitor.sinks.summary import GOOD

# Products come from messages, which may invent any number; the rest, and frames without one, count together.
MAX_PRODUCTS, OTHER_PRODUCTS = 100, "other"
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
P_VALUE_DIGITS = 3  # more would promise a precision that no sample has

# What a change means if the label is known, and if it is not.
NEWLY_MISSED = "newly missed"
NEWLY_CAUGHT = "newly caught"
NEW_FALSE_ALARM = "new false alarm"
FALSE_ALARM_GONE = "false alarm gone"
NOW_DEFECT = "now a defect"
NOW_GOOD = "now good"
NOT_INSPECTED = "now not inspected"
NOW_INSPECTED = "now inspected"
CHANGES = (
    NEWLY_MISSED,
    NEW_FALSE_ALARM,
    NEWLY_CAUGHT,
    FALSE_ALARM_GONE,
    NOW_DEFECT,
    NOW_GOOD,
    NOT_INSPECTED,
    NOW_INSPECTED,
)


@dataclass(frozen=True, slots=True)
class Change:
    """A frame whose verdict changes. `captured_at` is in seconds since 1970."""

    kind: str
    camera: str
    captured_at: float
    topic: str
    partition: int
    offset: int
    event: int | None
    file: str | None
    label: str | None
    before: Judgement
    after: Judgement
    part: Part | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        facts = {
            "change": self.kind,
            "camera": self.camera,
            "captured_at": rfc3339(self.captured_at),
            "part": None if self.part is None else self.part.to_dict(),
            "frame": Position("", self.topic, self.partition, self.offset, event=self.event).to_dict(),
            "file": self.file,
            "label": self.label,
            "baseline": self.before.to_dict(),
            "model": self.after.to_dict(),
        }
        return {name: value for name, value in facts.items() if value is not None}


@dataclass
class SideResult:
    """One side, counted.

    `ratios` are score / threshold; `flagged` and `inspected` count frames by label, `outcomes` all frames.
    `threshold`: None for the recorded ones; `milliseconds`: per frame on one thread, None if nothing was scored.
    """

    name: str
    threshold: float | None
    sha256: str | None
    outcomes: Counter[str] = field(default_factory=Counter)
    ratios: "array[float]" = field(default_factory=lambda: array("d"))
    flagged: Counter[str] = field(default_factory=Counter)
    inspected: Counter[str] = field(default_factory=Counter)
    milliseconds: float | None = None

    def add(self, judgement: Judgement, label: str | None) -> None:
        """Count one frame."""
        self.outcomes[judgement.outcome] += 1
        if judgement.ratio is not None:
            self.ratios.append(judgement.ratio)
        if label is not None and judgement.outcome != "uninspectable":
            self.inspected[label] += 1
            self.flagged[label] += judgement.outcome == "defect"

    @property
    def false_alarms(self) -> Rate | None:
        """The share of good parts flagged."""
        return rate(self.flagged[GOOD], self.inspected[GOOD])

    @property
    def detection(self) -> Rate | None:
        """The share of defects flagged, over all kinds."""
        kinds = [kind for kind in self.inspected if kind != GOOD]
        return rate(sum(self.flagged[kind] for kind in kinds), sum(self.inspected[kind] for kind in kinds))

    @property
    def flagged_rate(self) -> Rate | None:
        """The share of frames flagged, of all inspected."""
        return rate(self.outcomes["defect"], self.outcomes["defect"] + self.outcomes["good"])

    def kind(self, label: str) -> Rate | None:
        """The share flagged of frames with one label."""
        return rate(self.flagged[label], self.inspected[label])

    def quantiles(self) -> dict[str, float]:
        """Quantiles of score / threshold, by share."""
        if not self.ratios:
            return {}
        values = np.quantile(np.frombuffer(self.ratios), QUANTILES)
        return {f"{share:g}": round(float(value), 6) for share, value in zip(QUANTILES, values, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        labels = {label: _rate(self.kind(label)) for label in sorted(self.inspected)}
        return {
            "name": self.name,
            "sha256": self.sha256,
            "threshold": self.threshold,
            "verdicts": {outcome: self.outcomes[outcome] for outcome in OUTCOMES},
            "flagged": _rate(self.flagged_rate),
            "score_over_threshold": self.quantiles(),
            "false_alarms": _rate(self.false_alarms),
            "detection": _rate(self.detection),
            "labels": labels,
            "milliseconds_per_frame": self.milliseconds,
        }


@dataclass(frozen=True, slots=True, order=True)
class Example:
    """A changed frame to show; of two the greater one has the clearer change."""

    clearness: float  # |log(new / old)| of score / threshold
    earliness: int  # minus its place in the recording, so that the earlier one of equals is greater
    change: Change = field(compare=False)
    frame: Frame = field(compare=False)


@dataclass
class ProductResult:
    """The frames of one product: each side counted, `before` None without a baseline; how many verdicts change."""

    after: SideResult
    before: SideResult | None
    changed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {"frames": self.after.outcomes.total()}
        if self.before is not None:
            found |= {"changed": self.changed, "baseline": _product_side(self.before)}
        return found | {"model": _product_side(self.after)}


def _product_side(side: SideResult) -> dict[str, Any]:
    return {
        "verdicts": {outcome: side.outcomes[outcome] for outcome in OUTCOMES},
        "flagged": _rate(side.flagged_rate),
        "false_alarms": _rate(side.false_alarms),
        "detection": _rate(side.detection),
    }


@dataclass
class Comparison:
    """Everything found. `counts` has all changes by kind, `changes` the first, `examples` the clearest to show."""

    source: str
    after: SideResult
    before: SideResult | None
    frames: int = 0
    labelled: int = 0
    unmatched: int = 0  # frames without a recorded verdict; they are not counted anywhere else
    counts: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    products: dict[str, ProductResult] = field(default_factory=dict)
    seconds: float = 0.0

    def product(self, frame: Frame) -> ProductResult:
        """Where a frame's product is counted."""
        name = (frame.part and frame.part.product) or OTHER_PRODUCTS
        if name not in self.products and len(self.products) >= MAX_PRODUCTS:
            name = OTHER_PRODUCTS
        if name not in self.products:
            after, before = self.after, self.before
            self.products[name] = ProductResult(
                SideResult(after.name, after.threshold, after.sha256),
                before and SideResult(before.name, before.threshold, before.sha256),
            )
        return self.products[name]

    @property
    def changed(self) -> int:
        """How many verdicts change."""
        return self.counts.total()

    @property
    def changed_rate(self) -> Rate | None:
        """The share of verdicts that change, of all frames that both sides judged."""
        return rate(self.changed, self.frames)

    @property
    def p_value(self) -> float | None:
        """How likely chance alone makes the sides differ this much in right verdicts; None without labelled changes.

        McNemar's exact test.
        """
        better = self.counts[NEWLY_CAUGHT] + self.counts[FALSE_ALARM_GONE]
        return sign_test(better, self.counts[NEWLY_MISSED] + self.counts[NEW_FALSE_ALARM])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": self.source,
            "frames": self.frames,
            "labelled": self.labelled,
            "without_recorded_verdict": self.unmatched,
            "seconds": round(self.seconds, 3),
            "interval": INTERVAL,
            "baseline": None if self.before is None else self.before.to_dict(),
            "model": self.after.to_dict(),
            "changed": _rate(self.changed_rate) if self.before is not None else None,
            "changes": {kind: self.counts[kind] for kind in CHANGES if self.counts[kind]},
            "p_value_of_difference": None if self.p_value is None else _significant(self.p_value),
            "products": {name: found.to_dict() for name, found in sorted(self.products.items())},
            "changed_frames": [change.to_dict() for change in self.changes],
            "notes": self.notes,
        }


def _rate(found: Rate | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {
        "flagged": found.flagged,
        "count": found.count,
        "share": round(found.share, 6),
        "low": round(found.low, 6),
        "high": round(found.high, 6),
    }


def _significant(p_value: float) -> float:
    return float(f"{p_value:.{P_VALUE_DIGITS}g}")
