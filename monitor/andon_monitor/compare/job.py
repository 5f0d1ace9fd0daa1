"""`andon-monitor compare`: the two sides opened, compared, held against the limits, and written to files."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from andon_monitor.common.files import check_writable, write_whole
from andon_monitor.compare.comparison import compare
from andon_monitor.compare.junit import to_junit
from andon_monitor.compare.limits import ComparisonLimits, LimitResult, check_limits
from andon_monitor.compare.page import render
from andon_monitor.compare.results import Comparison
from andon_monitor.compare.sides import (
    ModelSide,
    RecipesSide,
    Side,
    ThresholdOverride,
    open_recorded_side,
)
from andon_monitor.errors import UsageError
from andon_monitor.inspection.inspector import Rules
from andon_monitor.model.file import Model
from andon_monitor.model.session import uses_gpu
from andon_monitor.recipes.library import open_strictly
from andon_monitor.recording.frame_labels import read_labels
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import load_settings
from andon_monitor.sources.selection import SelectedSource, Selection
from andon_monitor.sources.uri import open_source

MODEL_SUFFIX = ".onnx"
SETTINGS_SUFFIXES = (".yaml", ".yml")
OWN_THRESHOLD = ThresholdOverride()


@dataclass(frozen=True)
class Job:
    """What to compare, and where to write what was found.

    `model` is the new side, None for the recipes of the settings, or else for the baseline at another threshold;
    `override` is the new side's threshold. `baseline` is a model file, a settings file, `recorded`, another recording
    or a .jsonl file of verdicts. Without one the model is compared with itself at its own threshold if there is an
    override, else with the labels only.
    """

    source: str
    model: Path | None
    baseline: str | None
    override: ThresholdOverride = OWN_THRESHOLD
    labels: Path | None = None
    selection: Selection = field(default_factory=Selection)
    limits: ComparisonLimits = field(default_factory=ComparisonLimits)
    json: Path | None = None
    junit: Path | None = None
    report: Path | None = None


@dataclass(frozen=True)
class JobResult:
    """What was found; `damage` is a line about lost parts of the recording, None for none."""

    comparison: Comparison
    limits: list[LimitResult]
    damage: str | None

    @property
    def passed(self) -> bool:
        """Whether every limit is kept."""
        return all(limit.kept for limit in self.limits)


def run_comparison(job: Job, settings: Settings) -> JobResult:
    """Compare, and write the files asked for. Raises UsageError, ModelError, SourceError, OutputError."""
    for path in (job.json, job.junit, job.report):
        if path is not None:
            check_writable(path)
    labels = {} if job.labels is None else read_labels(job.labels)
    recording = open_source(job.source, settings.source.camera)
    source = SelectedSource(recording, job.selection)
    try:
        if recording.live:
            raise UsageError(f"{job.source}: is a camera; a comparison needs a recording, so record it first")
        after, before, notes = _open_sides(job, settings)
        found = compare(source, after, before, labels)
        source.check()
    finally:
        source.close()
    if not found.frames:
        raise UsageError(f"{job.source}: none of its {found.unmatched} frames has a verdict in {_name(before)}")
    if before is None and not found.labelled:
        raise UsageError(f"{job.source}: has no labels to compare with; give --baseline or --labels")
    found.notes += notes
    result = JobResult(found, check_limits(found, job.limits), recording.damage)
    _write(job, result, after, before)
    return result


def _open_sides(job: Job, settings: Settings) -> tuple[Side, Side | None, list[str]]:
    """The new side, the baseline if there is one, and notes for the user."""
    notes: list[str] = []
    rate = job.override.false_alarm_rate
    if settings.recipes:
        recipes = _open_recipes(job, settings)
        return recipes, None if job.baseline is None else _open_baseline(job.baseline, job.source, settings), notes
    if job.model is None:
        if job.baseline is None or not job.override.given:
            raise UsageError("--model: not given; give one, or a --baseline and --threshold or --false-alarm-rate")
        before = _open_baseline(job.baseline, job.source, settings)
        if isinstance(before, RecipesSide):
            option = "--threshold" if rate is None else "--false-alarm-rate"
            raise UsageError(f"{option}: each recipe of {job.baseline} has its own; give another file with --config")
        if isinstance(before, ModelSide):
            path = Path(job.baseline)
            return ModelSide(path, before.model, Rules.from_settings(settings), job.override), before, notes
        after = open_recorded_side(job.baseline, job.source, job.override)
        if rate is not None and rate < after.smallest_p_value:
            notes.append(
                f"the smallest recorded p-value is {after.smallest_p_value:.2g}, so no frame is flagged at a "
                f"false-alarm rate of {rate:g}; give the model file instead, which can extrapolate"
            )
        return after, before, notes
    new = _open_model(job.model, settings, job.override)
    if rate is not None:
        notes.append(f"a false-alarm rate of {rate:g} gives the threshold {new.threshold:.6g}")
    if job.baseline is not None:
        return new, _open_baseline(job.baseline, job.source, settings), notes
    if not job.override.given:
        return new, None, notes
    return new, ModelSide(job.model, new.model, Rules.from_settings(settings), OWN_THRESHOLD), notes


def _open_recipes(job: Job, settings: Settings) -> RecipesSide:
    """The recipes of the settings as the new side. Raises UsageError for what does not go with them."""
    if job.model is not None:
        raise UsageError(f"--model {job.model}: the settings have recipes; which one? Put the file into a recipe")
    if job.override.given:
        option = "--threshold" if job.override.false_alarm_rate is None else "--false-alarm-rate"
        raise UsageError(f"{option}: the settings have recipes, each with its own; change it there")
    return RecipesSide("recipes", open_strictly(settings))


def _open_baseline(baseline: str, source: str, settings: Settings) -> Side:
    if baseline.lower().endswith(SETTINGS_SUFFIXES):
        return RecipesSide(Path(baseline).name, open_strictly(load_settings({}, Path(baseline))))
    if baseline.lower().endswith(MODEL_SUFFIX):
        return _open_model(Path(baseline), settings, OWN_THRESHOLD)
    return open_recorded_side(baseline, source, OWN_THRESHOLD)


def _open_model(path: Path, settings: Settings, override: ThresholdOverride) -> ModelSide:
    with settings.model.load_limits.guard(path, uses_gpu(settings.model.provider)):
        model = Model.load(path, settings.model.provider, settings.model.threads)
    return ModelSide(path, model, Rules.from_settings(settings), override)


def _write(job: Job, result: JobResult, after: Side, before: Side | None) -> None:
    if job.json is not None:
        facts = result.comparison.to_dict() | {
            "limits": [
                {"limit": limit.name, "found": limit.found, "allowed": limit.allowed, "kept": limit.kept}
                for limit in result.limits
            ],
            "damage": result.damage,
        }
        write_whole(job.json, json.dumps(facts, ensure_ascii=False, indent=2).encode() + b"\n")
    if job.junit is not None:
        write_whole(job.junit, to_junit(result.comparison, result.limits, result.damage))
    if job.report is not None:
        page = render(result.comparison, after, before, result.limits, result.damage)
        write_whole(job.report, page.encode("utf-8", errors="replace"))


def _name(side: Side | None) -> str:
    return "the baseline" if side is None else side.name
