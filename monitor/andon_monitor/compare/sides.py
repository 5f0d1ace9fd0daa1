"""The two sides of a comparison. Each judges frames: by a model, or by verdicts that were recorded."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import OUTCOMES, Frame, Outcome, Verdict
from andon_monitor.inspection.inspector import Inspector, Rules
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.file import Model
from andon_monitor.recipes.library import Library
from andon_monitor.recording.places import Place, parse_place, place_of
from andon_monitor.sources.recording import is_recording, recorded_verdicts, recording_paths

RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a side says about a frame; `ratio` is score / threshold, None if the frame is uninspectable."""

    outcome: Outcome
    score: float | None
    ratio: float | None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without what is None."""
        fields = {
            "verdict": self.outcome,
            "score": self.score,
            "score_over_threshold": self.ratio,
            "reason": self.reason,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True)
class ThresholdOverride:
    """Another threshold than a side's own: a score, or the one that flags a share of good parts. Neither: its own."""

    threshold: float | None = None
    false_alarm_rate: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is another threshold."""
        return self.threshold is not None or self.false_alarm_rate is not None

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"threshold {self.threshold:g}"
        return "own threshold" if self.false_alarm_rate is None else f"{100 * self.false_alarm_rate:g} % false alarms"


class ModelSide:
    """A model, at its own threshold or another."""

    def __init__(self, path: Path, model: Model, rules: Rules, override: ThresholdOverride) -> None:
        self.model = model
        self._threshold = override.threshold  # None for the model's own, which the rules may set by camera
        if override.false_alarm_rate is not None:
            self._threshold = calibrate(model.card.calibration.scores, override.false_alarm_rate).threshold
        self.threshold = model.card.threshold if self._threshold is None else self._threshold
        self._inspector = Inspector(model, replace(rules, regions=False))
        self.name = f"{path.name} ({override})" if override.given else path.name
        self.sha256 = model.sha256

    def find(self, frame: Frame) -> Inspector:
        """The inspector of a frame."""
        return self._inspector

    def judge(self, verdict: Verdict) -> Judgement:
        """From the verdict that the inspector of a frame gives."""
        if verdict.score is None:
            return Judgement("uninspectable", None, None, verdict.reason)
        return _judge(verdict.score, verdict.threshold if self._threshold is None else self._threshold)

    def threshold_for(self, frame: Frame) -> float:
        """The score above which a frame is a defect."""
        return self._inspector.threshold(frame.camera) if self._threshold is None else self._threshold


class RecipesSide:
    """The recipes of a settings file, each model at the threshold of its recipe."""

    sha256: str | None = None
    threshold: float | None = None

    def __init__(self, name: str, library: Library) -> None:
        self.name = name
        self._library = library

    def find(self, frame: Frame) -> Inspector | Verdict:
        """The inspector of a frame, or the verdict where no recipe takes it."""
        found = self._library.find(frame)
        assert found is not None  # all are open
        return found

    def judge(self, verdict: Verdict) -> Judgement:
        """From the verdict that the inspector of a frame gives."""
        if verdict.score is None:
            return Judgement("uninspectable", None, None, verdict.reason)
        return _judge(verdict.score, verdict.threshold)

    def threshold_for(self, frame: Frame) -> float:
        """The score above which a frame is a defect."""
        found = self.find(frame)
        return found.threshold if isinstance(found, Verdict) else found.threshold(frame.camera)


class RecordedSide:
    """Verdicts that the line gave, at their threshold or another. Raises UsageError if there are none."""

    sha256: str | None = None

    def __init__(self, name: str, verdicts: Iterable[bytes], override: ThresholdOverride) -> None:
        self.threshold = override.threshold
        self.name = f"{name} ({override})" if override.given else name
        self._override = override
        self._verdicts: dict[Place, tuple[float | None, float | None, float, str, str | None]] = {}
        for number, line in enumerate(verdicts, start=1):
            try:
                place, verdict = _parse(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{name}: verdict {number} is not one that andon-monitor writes ({error})") from None
            self._verdicts[place] = verdict
        if not self._verdicts:
            raise UsageError(f"{name}: no verdicts in it")

    @property
    def smallest_p_value(self) -> float:
        """The smallest p-value in the verdicts; they cannot be judged at a lower false-alarm rate."""
        return min((p for _, p, *_ in self._verdicts.values() if p is not None), default=1.0)

    def judge(self, frame: Frame) -> Judgement | None:
        """The recorded verdict on a frame, None if there is none."""
        found = self._verdicts.get(place_of(frame.position))
        if found is None:
            return None
        score, p_value, threshold, outcome, reason = found
        if score is None or p_value is None:
            return Judgement("uninspectable", None, None, reason)
        if self._override.threshold is not None:
            return _judge(score, self._override.threshold)
        judged = _judge(score, threshold)
        if self._override.false_alarm_rate is not None:
            return replace(judged, outcome="defect" if p_value <= self._override.false_alarm_rate else "good")
        return replace(judged, outcome=outcome)  # type: ignore[arg-type]  # _parse has checked it


ScoringSide = ModelSide | RecipesSide
Side = ScoringSide | RecordedSide


def open_recorded_side(baseline: str, source: str, override: ThresholdOverride) -> RecordedSide:
    """The verdicts in the recording that is compared (`recorded`), in another recording, or in a .jsonl file.

    Raises UsageError.
    """
    if baseline == RECORDED:
        if not is_recording(source):
            raise UsageError(
                f"--baseline {RECORDED}: {source} is not a recording; give a model file or a .jsonl file of verdicts"
            )
        baseline = source
    path = Path(baseline)
    if is_recording(baseline):
        return RecordedSide(f"verdicts in {path.name}", recorded_verdicts(recording_paths(path)), override)
    return RecordedSide(path.name, _read_lines(path), override)


def _read_lines(path: Path) -> list[bytes]:
    """The lines of a file. Raises UsageError."""
    try:
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise UsageError(f"--baseline {path}: cannot be read ({error.strerror})") from None


def _judge(score: float, threshold: float) -> Judgement:
    return Judgement("defect" if score > threshold else "good", score, score / threshold if threshold > 0 else None)


def _parse(fields: Any) -> tuple[Place, tuple[float | None, float | None, float, str, str | None]]:
    if fields["verdict"] not in OUTCOMES:
        raise ValueError(f"verdict {fields['verdict']!r}")
    verdict = (
        fields.get("score"),
        fields.get("p_value"),
        float(fields["threshold"]),
        fields["verdict"],
        fields.get("reason"),
    )
    return parse_place(fields["frame"]), verdict
