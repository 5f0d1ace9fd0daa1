"""`andon-monitor compare` put together from its command line."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from andon_monitor.common.files import check_writable, write_whole
from andon_monitor.compare.comparison import Comparison, compare
from andon_monitor.compare.judges import Cut, ModelSide, RecordedSide, Side, read_labels, recorded_side
from andon_monitor.compare.limits import Limits, Verdict, judge
from andon_monitor.errors import UsageError
from andon_monitor.inspection.inspector import Rules
from andon_monitor.model.file import Model
from andon_monitor.settings.groups import Settings
from andon_monitor.sources.base import damage_of
from andon_monitor.sources.selection import SelectedSource, Selection
from andon_monitor.sources.uri import open_source

MODEL_SUFFIX = ".onnx"


@dataclass(frozen=True)
class Job:
    """What to compare, and where to write what was found.

    `cut` is the new side's threshold, `model` None for the baseline's own scores. `baseline` is a model file,
    `recorded`, another recording or a file of verdicts; None for the same model at its own threshold where a cut is
    given, else for labels alone.
    """

    source: str
    model: Path | None
    baseline: str | None
    cut: Cut = field(default_factory=Cut)
    labels: Path | None = None
    selection: Selection = field(default_factory=Selection)
    limits: Limits = field(default_factory=Limits)
    json: Path | None = None
    junit: Path | None = None
    report: Path | None = None


@dataclass(frozen=True)
class Done:
    """What was found; `damage` is one line about what of the recording is lost."""

    comparison: Comparison
    verdicts: list[Verdict]
    damage: str | None

    @property
    def passed(self) -> bool:
        """Whether every limit is kept."""
        return all(verdict.kept for verdict in self.verdicts)


def run_comparison(job: Job, settings: Settings) -> Done:
    """Compare, and write the files asked for. Raises UsageError, ModelError, SourceError, OutputError."""
    for path in (job.json, job.junit, job.report):
        if path is not None:
            check_writable(path)
    labels = {} if job.labels is None else read_labels(job.labels)
    recording = open_source(job.source, settings.source.camera)
    source = SelectedSource(recording, job.selection)
    try:
        if recording.live:
            raise UsageError(f"{job.source}: a camera; record it first, a comparison needs a recording")
        after, before, notes = _sides(job, settings)
        found = compare(source, after, before, labels)
        source.check()
    finally:
        source.close()
    if not found.frames:
        raise UsageError(f"{job.source}: none of its {found.unmatched} frames has a verdict in {_name(before)}")
    if before is None and not found.labelled:
        raise UsageError(f"{job.source}: no labels in it to compare with; give --baseline or --labels")
    found.notes += notes
    verdicts, damage = judge(found, job.limits), damage_of(recording)
    _write(job, found, after, before, verdicts, damage)
    return Done(found, verdicts, damage)


def _sides(job: Job, settings: Settings) -> tuple[Side, Side | None, list[str]]:
    notes: list[str] = []
    if job.model is None:
        if job.baseline is None or not job.cut.given:
            raise UsageError("--model: not given; give one, or a --baseline and --threshold or --false-alarm-rate")
        before = _baseline(job, settings, Cut())
        after = _baseline(job, settings, job.cut, before)
        if isinstance(after, RecordedSide) and job.cut.rate is not None and job.cut.rate < after.smallest_p_value:
            notes.append(
                f"the p-values recorded go down to {after.smallest_p_value:.2g} only, so that no frame is flagged at "
                f"{job.cut.rate:g}; give the model instead, which extrapolates"
            )
        return after, before, notes
    new = _load(job.model, settings, job.cut)
    if job.cut.rate is not None:
        notes.append(f"a false-alarm rate of {job.cut.rate:g} makes the threshold {new.threshold:.6g}")
    if job.baseline is not None:
        return new, _baseline(job, settings, Cut()), notes
    same = ModelSide(job.model, new.model, Rules.from_settings(settings), Cut()) if job.cut.given else None
    return new, same, notes


def _baseline(job: Job, settings: Settings, cut: Cut, like: Side | None = None) -> Side:
    """The baseline at a cut; where `like` is given, with the model of that side."""
    assert job.baseline is not None
    if not job.baseline.lower().endswith(MODEL_SUFFIX):
        return recorded_side(job.baseline, job.source, cut)
    path = Path(job.baseline)
    return (
        ModelSide(path, like.model, Rules.from_settings(settings), cut)
        if isinstance(like, ModelSide)
        else _load(path, settings, cut)
    )


def _load(path: Path, settings: Settings, cut: Cut) -> ModelSide:
    return ModelSide(
        path, Model.load(path, settings.model.provider, settings.model.threads), Rules.from_settings(settings), cut
    )


def _write(
    job: Job, found: Comparison, after: Side, before: Side | None, verdicts: list[Verdict], damage: str | None
) -> None:
    if job.json is not None:
        facts = found.to_dict() | {
            "limits": [{"limit": v.name, "found": v.found, "allowed": v.allowed, "kept": v.kept} for v in verdicts],
            "damage": damage,
        }
        write_whole(job.json, json.dumps(facts, ensure_ascii=False, indent=2).encode() + b"\n")
    if job.junit is not None:
        from andon_monitor.compare.junit import to_junit

        write_whole(job.junit, to_junit(found, verdicts, damage))
    if job.report is not None:
        from andon_monitor.compare.page import render

        page = render(found, after, before, verdicts, damage)
        write_whole(job.report, page.encode("utf-8", errors="replace"))


def _name(side: Side | None) -> str:
    return "the baseline" if side is None else side.name
