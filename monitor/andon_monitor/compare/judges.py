"""The two sides of a comparison: each judges frames, by a model or by verdicts that were recorded."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import OUTCOMES, Frame, Outcome, Position, Verdict
from andon_monitor.inspection.inspector import Inspector, Rules
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.file import Model
from andon_monitor.sources.recording import is_recording, recorded_verdicts, recording_paths

RECORDED = "recorded"
Place = tuple[str, int, int]  # topic, partition, offset


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a side says about a frame; `ratio` is score / threshold, None where it is uninspectable."""

    outcome: Outcome
    score: float | None
    ratio: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Cut:
    """Where good ends: at a score, or so that a share of good parts is flagged; neither: the side's own threshold."""

    threshold: float | None = None
    rate: float | None = None

    @property
    def given(self) -> bool:
        """Whether it is another one than the side's own."""
        return self.threshold is not None or self.rate is not None

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"threshold {self.threshold:g}"
        return "own threshold" if self.rate is None else f"{100 * self.rate:g} % false alarms"


class ModelSide:
    """A model, at its own threshold or another."""

    def __init__(self, path: Path, model: Model, rules: Rules, cut: Cut) -> None:
        self.model = model
        threshold = cut.threshold
        if cut.rate is not None:
            threshold = calibrate(model.card.calibration.scores, cut.rate).threshold
        self.threshold = model.card.threshold if threshold is None else threshold
        self._override = threshold
        self.inspector = Inspector(model, rules)
        self.name = f"{path.name} ({cut})" if cut.given else path.name
        self.sha256 = model.sha256

    def judge(self, frame: Frame, verdict: Verdict) -> Judgement:
        """From the verdict that `inspector` gives."""
        if verdict.score is None:
            return Judgement("uninspectable", None, None, verdict.reason)
        threshold = verdict.threshold if self._override is None else self._override
        return _judge(verdict.score, threshold)

    def threshold_for(self, camera: str) -> float:
        """The score above which a frame of this camera is a defect."""
        return self.inspector.threshold(camera) if self._override is None else self._override


class RecordedSide:
    """Verdicts that were given on the line, at their threshold or another. Raises UsageError: there are none."""

    sha256: str | None = None

    def __init__(self, name: str, verdicts: Iterable[bytes], cut: Cut) -> None:
        self.threshold = cut.threshold
        self.name = f"{name} ({cut})" if cut.given else name
        self._cut = cut
        self._verdicts: dict[Place, tuple[float | None, float | None, float, str, str | None]] = {}
        for number, line in enumerate(verdicts, start=1):
            try:
                place, verdict = _parse(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{name}: verdict {number} is none as andon-monitor writes them ({error})") from None
            self._verdicts[place] = verdict
        if not self._verdicts:
            raise UsageError(f"{name}: no verdicts in it")

    @property
    def smallest_p_value(self) -> float:
        """The smallest p-value in the verdicts: rates below cannot be told from it."""
        return min((p for _, p, *_ in self._verdicts.values() if p is not None), default=1.0)

    def judge(self, frame: Frame) -> Judgement | None:
        """What was said about a frame; None where nothing was."""
        found = self._verdicts.get(place_of(frame.position))
        if found is None:
            return None
        score, p_value, threshold, outcome, reason = found
        if score is None or p_value is None:
            return Judgement("uninspectable", None, None, reason)
        if self._cut.threshold is not None:
            return _judge(score, self._cut.threshold)
        judged = _judge(score, threshold)
        if self._cut.rate is not None:
            return replace(judged, outcome="defect" if p_value <= self._cut.rate else "good")
        return replace(judged, outcome=outcome)  # type: ignore[arg-type]  # _parse has seen to it


Side = ModelSide | RecordedSide


def recorded_side(baseline: str, source: str, cut: Cut) -> RecordedSide:
    """The verdicts in the recording that is compared (`recorded`), in another one, or in a file of JSON lines."""
    if baseline == RECORDED:
        if not is_recording(source):
            raise UsageError(f"--baseline {RECORDED}: {source} is no recording; give old.onnx or a .jsonl of verdicts")
        return RecordedSide(f"verdicts in {Path(source).name}", recorded_verdicts(recording_paths(Path(source))), cut)
    path = Path(baseline)
    if is_recording(baseline):
        return RecordedSide(f"verdicts in {path.name}", recorded_verdicts(recording_paths(path)), cut)
    return RecordedSide(path.name, read_lines("--baseline", path), cut)


def read_labels(path: Path) -> dict[Place | str, str]:
    """Labels by place or by file: lines {"frame": {"topic": ..., "partition": ..., "offset": ...}, "label": "good"}.

    Instead of `frame`, `file` may name the image. Raises UsageError.
    """
    labels: dict[Place | str, str] = {}
    for number, line in enumerate(read_lines("--labels", path), start=1):
        try:
            fields = json.loads(line)
            key = fields["file"] if "file" in fields else _place(fields["frame"])
            label = fields["label"]
            if not isinstance(label, str) or not label:
                raise ValueError("no label")
            labels[key] = label
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f'{path} line {number}: right is {{"frame": {{"topic": "andon.frames", "partition": 0, "offset": 7}}, '
                '"label": "good"}'
            ) from None
    return labels


def label_of(frame: Frame, labels: Mapping[Place | str, str]) -> str | None:
    """A frame's label: given, else recorded."""
    return labels.get(place_of(frame.position)) or labels.get(frame.file or "") or frame.label


def place_of(position: Position) -> Place:
    """A position as a key; verdicts do not name the cluster."""
    return position.topic, position.partition, position.offset


def read_lines(option: str, path: Path) -> list[bytes]:
    """The lines of a file. Raises UsageError."""
    try:
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read ({error.strerror})") from None


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
    return _place(fields["frame"]), verdict


def _place(frame: Any) -> Place:
    return str(frame["topic"]), int(frame["partition"]), int(frame["offset"])
