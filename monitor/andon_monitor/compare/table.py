"""A comparison on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from andon_monitor.common.console import table
from andon_monitor.common.intervals import INTERVAL, Rate
from andon_monitor.compare.comparison import CHANGES, Change, Comparison, Tally
from andon_monitor.compare.limits import Verdict
from andon_monitor.inspection.frames import rfc3339
from andon_monitor.sinks.summary import GOOD

LISTED = 10


def print_comparison(comparison: Comparison, verdicts: Sequence[Verdict], console: Console) -> None:
    """Both sides beside each other, what changed, the first frames that did, the limits."""
    sides = [tally for tally in (comparison.before, comparison.after) if tally is not None]
    headers = ["", *(["baseline"] if comparison.before is not None else []), "model"]
    console.print(table(headers, [[name, *cells] for name, cells in rows(comparison, sides)]))
    console.print(Text(f"rates with their intervals ({INTERVAL})", style="dim"))
    if comparison.before is not None:
        share = comparison.changed_rate
        text = f"{comparison.changed} of {comparison.frames} verdicts change"
        console.print(Text(text + ("" if share is None else f" ({share.share:.2%})") + differs(comparison)))
        counted = [[kind, comparison.counts[kind]] for kind in CHANGES if comparison.counts[kind]]
        if counted:
            console.print(table(["change", "frames"], counted))
            listed = [_describe(change) for change in comparison.changes[:LISTED]]
            console.print(table(["changed", "camera", "captured", "frame", "label", "score/threshold"], listed, False))
    for note in comparison.notes:
        console.print(Text(f"note: {note}"))
    if verdicts:
        lines: list[list[object]] = [
            ["ok" if verdict.kept else "BROKEN", verdict.name, verdict.found, verdict.allowed] for verdict in verdicts
        ]
        console.print(table(["", "limit", "found", "allowed"], lines, False))


def rows(comparison: Comparison, sides: Sequence[Tally]) -> list[tuple[str, list[str]]]:
    """The facts about each side: a name and a cell for each."""
    found: list[tuple[str, list[str]]] = [
        ("judged by", [side.name for side in sides]),
        ("threshold", ["as recorded" if side.threshold is None else f"{side.threshold:.4g}" for side in sides]),
    ]
    found += [
        (outcome, [str(side.outcomes[outcome]) for side in sides]) for outcome in ("good", "defect", "uninspectable")
    ]
    found.append(("score/threshold, median", [_quantile(side, "0.5") for side in sides]))
    found.append(("score/threshold, 99 % below", [_quantile(side, "0.99") for side in sides]))
    labels = sorted({label for side in sides for label in side.inspected})
    if GOOD in labels:
        found.append(("false alarms", [words(side.false_alarms) for side in sides]))
    if any(label != GOOD for label in labels):
        found.append(("defects found", [words(side.detection) for side in sides]))
        found += [(f"  {label}", [words(side.kind(label)) for side in sides]) for label in labels if label != GOOD]
    if any(side.milliseconds is not None for side in sides):
        found.append(
            ("ms a frame, one thread", ["" if s.milliseconds is None else f"{s.milliseconds:.3g}" for s in sides])
        )
    return found


def words(found: Rate | None) -> str:
    """A rate with its interval, in one line."""
    if found is None:
        return "-"
    return f"{found.flagged} of {found.count}, {found.share:.2%} ({found.low:.2%} to {found.high:.2%})"


def differs(comparison: Comparison) -> str:
    """Whether the sides differ in right verdicts by more than chance, where labels say so."""
    p_value = comparison.improvement
    return "" if p_value is None else f"; chance alone gives a split as uneven with p = {p_value:.2g}"


def _quantile(side: Tally, share: str) -> str:
    value = side.quantiles().get(share)
    return "-" if value is None else f"{value:.3f}"


def _describe(change: Change) -> list[object]:
    ratios = " -> ".join(
        judged.reason or "-" if judged.ratio is None else f"{judged.ratio:.3f}"
        for judged in (change.before, change.after)
    )
    place = change.file or f"{change.topic}/{change.partition}/{change.offset}"
    return [change.kind, change.camera, rfc3339(change.captured_at), place, change.label or "", ratios]
