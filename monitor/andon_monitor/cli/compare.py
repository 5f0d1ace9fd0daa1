"""The command compare."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from andon_monitor.cli.options import (
    Assignments,
    Begin,
    Cameras,
    ConfigFile,
    End,
    ModelFile,
    RecordingName,
    load_and_log,
    selection,
)
from andon_monitor.errors import SourceError, UsageError


def compare(
    recording: RecordingName,
    model: ModelFile = None,
    baseline: Annotated[
        str | None,
        Option(
            help="What to compare with: a model file, a settings file (.yaml) with recipes, a .jsonl file of verdicts, "
            "or recorded (the recording's)."
        ),
    ] = None,
    threshold: Annotated[float | None, Option(help="Use this threshold instead of the model's.")] = None,
    false_alarm_rate: Annotated[
        float | None, Option(help="Use the threshold that flags this share of good parts.")
    ] = None,
    labels: Annotated[Path | None, Option(help="JSON lines with labels, if the recording has none.")] = None,
    begin: Begin = None,
    end: End = None,
    cameras: Cameras = None,
    json: Annotated[Path | None, Option(metavar="FILE", help="Write all figures as JSON.")] = None,
    junit: Annotated[Path | None, Option(metavar="FILE", help="Write the results of the limits as JUnit XML.")] = None,
    report: Annotated[
        Path | None, Option(metavar="FILE", help="Write an HTML page with pictures of changed verdicts.")
    ] = None,
    max_changed: Annotated[float | None, Option(min=0, max=1, help="Limit: share of verdicts that change.")] = None,
    max_flagged: Annotated[float | None, Option(min=0, max=1, help="Limit: share of frames flagged.")] = None,
    max_false_alarms: Annotated[float | None, Option(min=0, max=1, help="Limit: share of good parts flagged.")] = None,
    min_detection: Annotated[
        float | None, Option(min=0, max=1, help="Limit: smallest share of defects flagged.")
    ] = None,
    max_new_misses: Annotated[
        int | None, Option(min=0, help="Limit: number of defects that only the baseline finds.")
    ] = None,
    max_new_false_alarms: Annotated[
        int | None, Option(min=0, help="Limit: number of good parts that only the new model flags.")
    ] = None,
    max_latency: Annotated[
        float | None, Option(min=0, metavar="MS", help="Limit: milliseconds per frame on one thread.")
    ] = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Compare a new model or threshold, or the recipes of --config, with a baseline.

    Both judge the frames of one recording. Exit code 1 if a limit is broken, or the recording is damaged.
    """
    if threshold is not None and false_alarm_rate is not None:
        raise UsageError("--threshold and --false-alarm-rate are both given; which one?")
    if false_alarm_rate is not None and not 0 < false_alarm_rate < 1:
        raise UsageError(f"--false-alarm-rate: {false_alarm_rate:g} should be above 0 and below 1, such as 0.001")
    loaded = load_and_log({}, settings, config)
    from andon_monitor.common.console import console
    from andon_monitor.compare.job import Job, run_comparison
    from andon_monitor.compare.limits import ComparisonLimits
    from andon_monitor.compare.sides import ThresholdOverride
    from andon_monitor.compare.table import print_comparison

    limits = ComparisonLimits(max_changed, max_flagged, max_false_alarms, min_detection, max_new_misses,
                              max_new_false_alarms, max_latency)  # fmt: skip
    override = ThresholdOverride(threshold, false_alarm_rate)
    job = Job(recording, model, baseline, override, labels, selection(begin, end, cameras), limits, json, junit, report)
    done = run_comparison(job, loaded)
    print_comparison(done.comparison, done.limits, console(error=False))
    if done.damage is not None:
        raise SourceError(done.damage)
    if not done.passed:
        raise typer.Exit(1)
