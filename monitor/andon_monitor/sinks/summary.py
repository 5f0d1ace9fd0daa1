"""Counts of a run: outcomes, latencies and, with labels, missed defects and false alarms."""

import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from andon_monitor.common.files import whole_file
from andon_monitor.common.process import Ending
from andon_monitor.inspection.frames import OUTCOMES
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.telemetry.catalogue import PART_OUTCOMES

GOOD = "good"
MAX_NAMES = 1000  # of cameras, products or kinds of defects: a stream may have more, and memory must not grow
OTHER_NAMES = "other"


class Quantiles:
    """Quantiles of positive values in constant memory: a histogram from 1e-6 to 1e4 with buckets 5 % wide."""

    _GROWTH = math.log(1.05)
    _SMALLEST = 1e-6
    _BUCKETS = 475

    def __init__(self) -> None:
        self._counts = [0] * self._BUCKETS
        self._total = 0

    def add(self, value: float) -> None:
        """Count one value."""
        bucket = int(math.log(max(value, self._SMALLEST) / self._SMALLEST) / self._GROWTH)
        self._counts[min(bucket, self._BUCKETS - 1)] += 1
        self._total += 1

    def at(self, share: float) -> float | None:
        """The value that this share of the values does not exceed, within 2.5 %; None without values."""
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= share * self._total and seen:
                return float(self._SMALLEST * math.exp((bucket + 0.5) * self._GROWTH))
        return None


@dataclass
class Summary:
    """A sink that counts inspections. It is the last one, so that it counts only what the others have written."""

    false_alarm_rate: float | None = None  # that the model's threshold was set for
    cameras: dict[str, Counter[str]] = field(default_factory=dict)
    products: dict[str, Counter[str]] = field(default_factory=dict)  # frames whose producer names one
    recipes: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    stages: dict[str, Quantiles] = field(
        default_factory=lambda: {name: Quantiles() for name in ("decode", "queue", "inference", "total")}
    )
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    damage: str | None = None  # see `Source.damage`
    stopped: bool = False  # by a signal, before the end of a recording
    passed_over: str | None = None  # see `Source.passed_over`
    parts: Counter[str] | None = None  # by verdict, where output.parts joins views

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Count them."""
        now = time.monotonic()
        self.seconds = now - self.started
        for inspection in inspections:
            verdict, label, latency = inspection.verdict, inspection.frame.label, inspection.latency
            _counter(self.cameras, verdict.camera)[verdict.outcome] += 1
            if verdict.part is not None and verdict.part.product is not None:
                _counter(self.products, verdict.part.product)[verdict.outcome] += 1
            if verdict.recipe is not None:
                _counter(self.recipes, verdict.recipe)[verdict.outcome] += 1
            if verdict.reason is not None:
                self.reasons[verdict.reason] += 1
            if label is not None:
                _counter(self.kinds, label)[verdict.outcome] += 1
            if latency is not None:
                self.stages["decode"].add(latency.decode)
                self.stages["queue"].add(latency.queue)
                self.stages["inference"].add(latency.inference)
                self.stages["total"].add(now - inspection.arrived)

    def close(self, ending: Ending) -> None:
        """Does nothing."""

    @property
    def outcomes(self) -> Counter[str]:
        """The number of frames by outcome, over all cameras."""
        return sum(self.cameras.values(), Counter())

    def to_dict(self) -> dict[str, Any]:
        """All counts as JSON; times in seconds. It has `truth` where frames have labels."""
        outcomes = self.outcomes
        frames = outcomes.total()
        return {
            "frames": frames,
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(frames / self.seconds, 2) if self.seconds > 0 else None,
            "verdicts": {outcome: outcomes[outcome] for outcome in OUTCOMES},
            "uninspectable": dict(sorted(self.reasons.items())),
            "cameras": _by_outcome(self.cameras),
            **({"products": _by_outcome(self.products)} if self.products else {}),
            **({"recipes": _by_outcome(self.recipes)} if self.recipes else {}),
            "latency_seconds": {
                name: {"p50": _rounded(stage.at(0.5)), "p99": _rounded(stage.at(0.99))}
                for name, stage in self.stages.items()
            },
            **({} if self.parts is None else {"parts": {name: self.parts[name] for name in PART_OUTCOMES}}),
            **({"truth": self._truth()} if self.kinds else {}),
            **({"stopped": True} if self.stopped else {}),
            **({"damage": self.damage} if self.damage else {}),
            **({"passed_over": self.passed_over} if self.passed_over else {}),
        }

    def save(self, path: Path) -> None:
        """Write `to_dict` as a JSON file. Raises OutputError."""
        with whole_file(path) as file:
            file.write(json.dumps(self.to_dict(), ensure_ascii=False, indent=2).encode() + b"\n")

    def _truth(self) -> dict[str, Any]:
        good = self.kinds.get(GOOD, Counter())
        defects = {
            kind: {"caught": counts["defect"], "missed": counts["good"], "not_inspected": counts["uninspectable"]}
            for kind, counts in sorted(self.kinds.items())
            if kind != GOOD
        }
        return {
            "good": {
                "passed": good["good"],
                "false_alarms": good["defect"],
                "not_inspected": good["uninspectable"],
            },
            "defects": defects,
            "caught": sum(kind["caught"] for kind in defects.values()),
            "missed": sum(kind["missed"] for kind in defects.values()),
        }


def _counter(counters: dict[str, Counter[str]], name: str) -> Counter[str]:
    if name not in counters and len(counters) >= MAX_NAMES:
        name = OTHER_NAMES
    return counters.setdefault(name, Counter())


def _by_outcome(counters: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: {outcome: counts[outcome] for outcome in OUTCOMES} for name, counts in sorted(counters.items())}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else float(f"{seconds:.3g}")
