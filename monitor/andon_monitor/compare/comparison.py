"""Both sides over all frames of a recording: what changed, how scores lie, what labels say of it."""

import heapq
import math
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from andon_monitor.common.intervals import Rate, rate, sign_test
from andon_monitor.common.process import available_cores
from andon_monitor.compare.judges import Judgement, ModelSide, Place, RecordedSide, Side, label_of
from andon_monitor.inspection.frames import OUTCOMES, Frame, Verdict, rfc3339
from andon_monitor.model.imaging import Pixels
from andon_monitor.sinks.summary import GOOD
from andon_monitor.sources.base import Source

BATCH = 16
LISTED = 10_000  # changed frames that are listed; all are counted
SHOWN = 12  # pictures of each kind of change
TIMED = 40  # frames scored one by one to measure latency
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)

# What a change means where the label is known, and where it is not.
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
    """A frame on which the sides differ."""

    kind: str
    camera: str
    captured_at: float
    topic: str
    partition: int
    offset: int
    file: str | None
    label: str | None
    before: Judgement
    after: Judgement

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        facts = {
            "change": self.kind,
            "camera": self.camera,
            "captured_at": rfc3339(self.captured_at),
            "frame": {"topic": self.topic, "partition": self.partition, "offset": self.offset},
            "file": self.file,
            "label": self.label,
            "baseline": _judgement(self.before),
            "model": _judgement(self.after),
        }
        return {name: value for name, value in facts.items() if value is not None}


@dataclass
class Tally:
    """One side, counted: outcomes, ratios of score to threshold, and by label what it flagged of what it inspected."""

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
        """Good parts flagged."""
        return rate(self.flagged[GOOD], self.inspected[GOOD])

    @property
    def detection(self) -> Rate | None:
        """Defects flagged, over all kinds."""
        kinds = [kind for kind in self.inspected if kind != GOOD]
        return rate(sum(self.flagged[kind] for kind in kinds), sum(self.inspected[kind] for kind in kinds))

    @property
    def flagged_rate(self) -> Rate | None:
        """Frames flagged of those inspected, whatever they are."""
        return rate(self.outcomes["defect"], self.outcomes["defect"] + self.outcomes["good"])

    def kind(self, label: str) -> Rate | None:
        """Flagged of one label."""
        return rate(self.flagged[label], self.inspected[label])

    def quantiles(self) -> dict[str, float]:
        """Of score / threshold."""
        if not self.ratios:
            return {}
        values = np.quantile(np.frombuffer(self.ratios), QUANTILES)
        return {f"{share:g}": round(float(value), 6) for share, value in zip(QUANTILES, values, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
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


@dataclass
class Comparison:
    """Everything found. `changes` lists the first of them, `examples` has frames to show, by kind of change."""

    source: str
    after: Tally
    before: Tally | None
    frames: int = 0
    labelled: int = 0
    unmatched: int = 0  # frames without a recorded verdict, which are left out
    counts: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    examples: dict[str, list[tuple[float, int, Change, Frame]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def changed(self) -> int:
        """How many frames have another verdict."""
        return self.counts.total()

    @property
    def changed_rate(self) -> Rate | None:
        """Of all frames that both sides judged."""
        return rate(self.changed, self.frames)

    @property
    def improvement(self) -> float | None:
        """McNemar's exact p-value of the difference in right verdicts, where labels are known; None else."""
        better = self.counts[NEWLY_CAUGHT] + self.counts[FALSE_ALARM_GONE]
        return sign_test(better, self.counts[NEWLY_MISSED] + self.counts[NEW_FALSE_ALARM])

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "source": self.source,
            "frames": self.frames,
            "labelled": self.labelled,
            "without_recorded_verdict": self.unmatched,
            "seconds": round(self.seconds, 3),
            "interval": "95 % Clopper-Pearson",
            "baseline": None if self.before is None else self.before.to_dict(),
            "model": self.after.to_dict(),
            "changed": _rate(self.changed_rate) if self.before is not None else None,
            "changes": {kind: self.counts[kind] for kind in CHANGES if self.counts[kind]},
            "p_value_of_difference": self.improvement,
            "changed_frames": [change.to_dict() for change in self.changes],
            "notes": self.notes,
        }


def compare(source: Source, after: Side, before: Side | None, labels: Mapping[Place | str, str]) -> Comparison:
    """Judge every frame by both sides. A model that is on both sides scores once. Raises SourceError."""
    result = Comparison(
        source.name,
        Tally(after.name, after.threshold, after.sha256),
        None if before is None else Tally(before.name, before.threshold, before.sha256),
    )
    started = time.monotonic()
    models = {side.sha256: side for side in (after, before) if isinstance(side, ModelSide)}
    samples: dict[str, list[Pixels]] = {sha256: [] for sha256 in models}
    for frames, verdicts in _inspect(source, models, samples):
        for i, frame in enumerate(frames):
            judged = [
                None if side is None else _judge(side, frame, verdicts.get(side.sha256 or "", ())[i : i + 1])
                for side in (after, before)
            ]
            _count(result, frame, label_of(frame, labels), judged[0], judged[1])
    result.seconds = time.monotonic() - started
    for side, tally in ((after, result.after), (before, result.before)):
        if isinstance(side, ModelSide) and tally is not None:
            tally.milliseconds = _latency(side, samples[side.sha256])
    return result


def _inspect(
    source: Source, models: Mapping[str, ModelSide], samples: dict[str, list[Pixels]]
) -> Iterator[tuple[list[Frame], dict[str, list[Verdict]]]]:
    """Frames in batches, and for each model the verdicts on them."""
    with ThreadPoolExecutor(available_cores(), "decode") as decoders:
        while (frames := source.poll(BATCH, 0.1)) is not None:
            if not frames:
                continue
            verdicts = {}
            for sha256, side in models.items():
                prepared = list(decoders.map(side.inspector.prepare, frames))
                verdicts[sha256] = side.inspector.inspect(prepared)
                kept = samples[sha256]
                kept += [item.pixels for item in prepared if item.pixels is not None][: TIMED - len(kept)]
            yield frames, verdicts


def _judge(side: Side, frame: Frame, verdict: Sequence[Verdict]) -> Judgement | None:
    return side.judge(frame) if isinstance(side, RecordedSide) else side.judge(frame, verdict[0])


def _count(
    result: Comparison, frame: Frame, label: str | None, after: Judgement | None, before: Judgement | None
) -> None:
    if after is None or (result.before is not None and before is None):
        result.unmatched += 1
        return
    result.frames += 1
    result.labelled += label is not None
    result.after.add(after, label)
    if result.before is None or before is None:
        return
    result.before.add(before, label)
    if after.outcome == before.outcome:
        return
    kind = _kind(before, after, label)
    place = frame.position
    change = Change(
        kind,
        frame.camera,
        frame.captured_at,
        place.topic,
        place.partition,
        place.offset,
        frame.file,
        label,
        before,
        after,
    )
    result.counts[kind] += 1
    if len(result.changes) < LISTED:
        result.changes.append(change)
    shown = result.examples.setdefault(kind, [])
    entry = (
        abs(math.log((after.ratio or 1) / (before.ratio or 1))) if _positive(after, before) else 0.0,
        -result.frames,
        change,
        frame,
    )
    if len(shown) < SHOWN:
        heapq.heappush(shown, entry)
    else:
        heapq.heappushpop(shown, entry)


def _positive(*judgements: Judgement) -> bool:
    return all(judgement.ratio is not None and judgement.ratio > 0 for judgement in judgements)


def _kind(before: Judgement, after: Judgement, label: str | None) -> str:
    if after.outcome == "uninspectable":
        return NOT_INSPECTED
    if before.outcome == "uninspectable":
        return NOW_INSPECTED
    flagged = after.outcome == "defect"
    if label is None:
        return NOW_DEFECT if flagged else NOW_GOOD
    if label == GOOD:
        return NEW_FALSE_ALARM if flagged else FALSE_ALARM_GONE
    return NEWLY_CAUGHT if flagged else NEWLY_MISSED


def _latency(side: ModelSide, samples: Sequence[Pixels]) -> float | None:
    """Milliseconds to score one frame on one thread, the median of a few."""
    times = []
    for pixels in samples:
        started = time.perf_counter()
        side.model.score(pixels[None])
        times.append(time.perf_counter() - started)
    return round(1000 * median(times), 3) if times else None


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


def _judgement(judged: Judgement) -> dict[str, Any]:
    fields = {
        "verdict": judged.outcome,
        "score": judged.score,
        "score_over_threshold": judged.ratio,
        "reason": judged.reason,
    }
    return {name: value for name, value in fields.items() if value is not None}
