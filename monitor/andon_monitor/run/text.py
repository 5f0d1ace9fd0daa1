"""What the commands run, check and tune print."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from andon_monitor.common.console import table
from andon_monitor.common.process import Ending
from andon_monitor.common.redaction import one_line, show_address
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import flatten
from andon_monitor.settings.types import Group
from andon_monitor.sinks.base import Sink
from andon_monitor.sinks.summary import Summary

if TYPE_CHECKING:  # `check` imports the Kafka client, which `run` may not need
    from andon_monitor.run.check import Check, OpenedModels
    from andon_monitor.run.tune import Trial

MAX_MEETINGS = 200  # lines of the table of cameras and products


def print_summary(summary: Summary, console: Console) -> None:
    """Print frames, outcomes and latencies; with labels in the recording also caught, missed and false alarms."""
    facts = summary.to_dict()
    console.print(Text(summary_line(summary), overflow="fold"))

    for heading in ("camera", "product", "recipe"):
        outcomes = facts.get(f"{heading}s", {})
        if len(outcomes) > 1:
            rows = [[name, sum(counts.values()), *counts.values()] for name, counts in outcomes.items()]
            console.print(table([heading, "frames", "good", "defect", "uninspectable"], rows))
    if "truth" in facts:
        _print_against_labels(facts["truth"], summary.false_alarm_rate, console)
    if facts["frames"]:
        rows = [
            [
                name,
                _milliseconds(facts["latency_seconds"][stage]["p50"]),
                _milliseconds(facts["latency_seconds"][stage]["p99"]),
            ]
            for name, stage in (
                ("decode", "decode"),
                ("wait", "queue"),
                ("inference, per batch", "inference"),
                ("in the monitor", "total"),
            )
        ]
        console.print(table(["milliseconds", "median", "99 % below"], rows))


def summary_line(summary: Summary) -> str:
    """Frames, time and outcomes of a run."""
    facts = summary.to_dict()
    verdicts = facts["verdicts"]
    line = f"{_count(facts['frames'], 'frame')} in {facts['seconds']:.1f} s"
    if facts["frames_per_second"]:
        line += f" ({facts['frames_per_second']:.1f}/s)"
    line += f": {verdicts['good']} good, {_count(verdicts['defect'], 'defect')}"
    line += f", {verdicts['uninspectable']} uninspectable"
    if facts["uninspectable"]:
        line += f" ({', '.join(f'{count} {reason}' for reason, count in facts['uninspectable'].items())})"
    if "parts" in facts:
        parts = facts["parts"]
        line += f"; {_count(sum(parts.values()), 'part')}: {parts['good']} good, {_count(parts['defect'], 'defect')}"
        line += f", {parts['incomplete']} incomplete"
    return line


def _print_against_labels(truth: dict[str, Any], promised: float | None, console: Console) -> None:
    rows = [[kind, sum(row.values()), *row.values()] for kind, row in truth["defects"].items()]
    if len(rows) > 1:
        rows.append(["all defects", *(sum(row[i] for row in rows) for i in range(1, 5))])
    if rows:
        console.print(table(["recorded as", "frames", "caught", "missed", "not inspected"], rows))
    good = truth["good"]
    flagged, inspected = good["false_alarms"], good["false_alarms"] + good["passed"]
    if inspected:
        rate = f"{_count(flagged, 'false alarm')} in {_count(inspected, 'good part')} ({flagged / inspected:.2%})"
        console.print(Text(rate + ("" if promised is None else f"; the threshold was set for {promised:.2%}")))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.3g}"


class _Bar:
    """A sink that advances a progress bar."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("inspecting", total=None)

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Advance by as many frames."""
        self._progress.advance(self._task, len(inspections))

    def close(self, ending: Ending) -> None:
        """Nothing to do."""


@contextmanager
def progress_bar(console: Console | None) -> Iterator[list[Sink]]:
    """Show a count of frames on the terminal; yields the sink for it, none if `console` is None or no terminal."""
    if console is None or not console.is_terminal:
        yield []
        return
    columns = (SpinnerColumn(), TextColumn("{task.completed:.0f} frames"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        yield [_Bar(progress)]


def print_settings(settings: Settings, console: Console) -> None:
    """Print every setting with its value."""
    rows: list[list[object]] = [
        [key, _setting_text(value), description] for key, value, description in flatten(settings)
    ]
    console.print(table(["setting", "value", "meaning"], rows, numbers=False))


def _setting_text(value: Any) -> str:
    """A value as people may see it; of a list of targets no more than their names and addresses."""
    if isinstance(value, tuple) and value and isinstance(value[0], Group):
        return ", ".join(map(str, value))
    return "" if value is None else show_address(str(value))


def print_trials(trials: "Sequence[Trial]", console: Console) -> None:
    """Print what was measured, the best first."""
    names = list(dict.fromkeys(key for trial in trials for key in trial.values))
    rows: list[list[object]] = [
        [
            *(trial.values.get(name, "") for name in names),
            f"{trial.rate:.1f}",
            f"{min(trial.rates):.1f} to {max(trial.rates):.1f}",
        ]
        for trial in trials
    ]
    console.print(table([*names, "frames/s", "range"], rows))


def print_recipes(opened: "OpenedModels", settings: Settings, console: Console) -> None:
    """Print which frames meet which model: rule by rule, and for the cameras and products that the settings expect."""
    headings = ["rule", "camera", "product", "recipe", "model", "threshold", "false alarms", ""]
    rows: list[list[object]] = [list(row) for row in opened.rules()]
    console.print(table(headings, rows, numbers=False))
    expected: list[list[object]] = [
        list(row) for row in opened.meetings(settings.source.cameras, settings.source.products)
    ]
    if expected:
        console.print(table(["camera", "product", "recipe"], expected[:MAX_MEETINGS], numbers=False))
    if len(expected) > MAX_MEETINGS:
        console.print(Text(f"and {len(expected) - MAX_MEETINGS} more"))


def print_checks(checks: "Iterable[Check]", console: Console) -> bool:
    """Print what was checked. Returns whether everything passed."""
    done = list(checks)
    rows: list[list[object]] = []
    for check in done:
        result = "FAILED" if not check.passed else "WARNING" if check.warning else "ok"
        rows.append([result, check.what, check.detail])
    console.print(table(["", "checked", ""], rows, numbers=False))
    for check in done:
        if check.warning:
            console.print(Text(one_line(f"{check.what}: {check.detail}"), style="bold red"))
    failed = sum(not check.passed for check in done)
    console.print(Text(f"{len(done) - failed} of {len(done)} checks passed"))
    return failed == 0
