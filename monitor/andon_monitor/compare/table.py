"""A comparison on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from andon_monitor.common.console import table
from andon_monitor.common.intervals import Rate
from andon_monitor.compare.limits import LimitResult
from andon_monitor.compare.results import CHANGES, Change, Comparison, SideResult
from andon_monitor.inspection.frames import rfc3339
from andon_monitor.sinks.summary import GOOD

INTERVAL_WORDS = "the real share lies between these values in 95 of 100 cases"
MAX_LISTED = 10  # changed frames; --json has all of them


def print_comparison(comparison: Comparison, limits: Sequence[LimitResult], console: Console) -> None:
    """Both sides next to each other, what changed, the first changed frames, the limits."""
    sides = [tally for tally in (comparison.before, comparison.after) if tally is not None]
    headers = ["", *(["baseline"] if comparison.before is not None else []), "model"]
    console.print(table(headers, [[name, *cells] for name, cells in rows(comparison, sides)]))
    console.print(Text(f"in brackets: {INTERVAL_WORDS} (Clopper-Pearson)", style="dim"))
    if comparison.before is not None:
        share = comparison.changed_rate
        text = f"{comparison.changed} of {comparison.frames} verdicts change"
        console.print(Text(text + ("" if share is None else f" ({share.share:.2%})")))
        if comparison.p_value is not None:
            console.print(Text(f"{chance_words(comparison.p_value)} (McNemar's test, p = {comparison.p_value:.2g})"))
        counted = [[kind, comparison.counts[kind]] for kind in CHANGES if comparison.counts[kind]]
        if counted:
            console.print(table(["change", "frames"], counted))
            listed = [_describe(change) for change in comparison.changes[:MAX_LISTED]]
            console.print(table(["changed", "camera", "captured", "frame", "label", "score/threshold"], listed, False))
    for note in comparison.notes:
        console.print(Text(f"note: {note}"))
    if limits:
        lines: list[list[object]] = [
            ["kept" if limit.kept else "BROKEN", limit.name, limit.found, limit.allowed] for limit in limits
        ]
        console.print(table(["", "limit", "found", "allowed"], lines, False))


def rows(comparison: Comparison, sides: Sequence[SideResult]) -> list[tuple[str, list[str]]]:
    """What is known about the sides: a name, and a cell for each side."""
    found: list[tuple[str, list[str]]] = [
        ("judged by", [side.name for side in sides]),
        ("threshold", ["as recorded" if side.threshold is None else f"{side.threshold:.4g}" for side in sides]),
    ]
    found += [
        (outcome, [str(side.outcomes[outcome]) for side in sides]) for outcome in ("good", "defect", "uninspectable")
    ]
    found.append(("score / threshold, median", [_quantile(side, "0.5") for side in sides]))
    found.append(("score / threshold, 99 % are below", [_quantile(side, "0.99") for side in sides]))
    labels = sorted({label for side in sides for label in side.inspected})
    if GOOD in labels:
        found.append(("false alarms", [rate_words(side.false_alarms) for side in sides]))
    if any(label != GOOD for label in labels):
        found.append(("defects found", [rate_words(side.detection) for side in sides]))
        found += [(f"  {label}", [rate_words(side.kind(label)) for side in sides]) for label in labels if label != GOOD]
    if any(side.milliseconds is not None for side in sides):
        found.append(
            ("ms per frame, one thread", ["" if s.milliseconds is None else f"{s.milliseconds:.3g}" for s in sides])
        )
    return found


def rate_words(found: Rate | None) -> str:
    """A rate with its interval, in one line."""
    if found is None:
        return "-"
    return f"{found.flagged} of {found.count}, {found.share:.2%} ({found.low:.2%} to {found.high:.2%})"


def chance_words(p_value: float) -> str:
    """What a p-value of the difference in right verdicts means."""
    percent = float(f"{100 * p_value:.2g}")
    often = "in fewer than 1 of 1000" if p_value < 0.001 else f"in {percent:g} of 100"
    return f"if both sides were equally good, chance would make them differ this much {often} comparisons"


def _quantile(side: SideResult, share: str) -> str:
    value = side.quantiles().get(share)
    return "-" if value is None else f"{value:.3f}"


def _describe(change: Change) -> list[object]:
    ratios = " -> ".join(
        judged.reason or "-" if judged.ratio is None else f"{judged.ratio:.3f}"
        for judged in (change.before, change.after)
    )
    place = change.file or f"{change.topic}/{change.partition}/{change.offset}"
    return [change.kind, change.camera, rfc3339(change.captured_at), place, change.label or "", ratios]
