"""A comparison on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from andon_monitor.common.console import table
from andon_monitor.common.times import rfc3339
from andon_monitor.compare.facts import INTERVAL_WORDS, chance_words, describe_products, describe_sides
from andon_monitor.compare.limits import LimitResult
from andon_monitor.compare.results import CHANGES, Change, Comparison

MAX_LISTED = 10  # changed frames; --json has all of them


def print_comparison(comparison: Comparison, limits: Sequence[LimitResult], console: Console) -> None:
    """Both sides next to each other, what changed, the first changed frames, the limits."""
    sides = [side for side in (comparison.before, comparison.after) if side is not None]
    headers = ["", *(["baseline"] if comparison.before is not None else []), "model"]
    console.print(table(headers, [[name, *cells] for name, cells in describe_sides(sides)]))
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
    products, rows = describe_products(comparison)
    if rows:
        console.print(table(products, rows))
    for note in comparison.notes:
        console.print(Text(f"note: {note}"))
    if limits:
        lines: list[list[object]] = [
            ["kept" if limit.kept else "BROKEN", limit.name, limit.found, limit.allowed] for limit in limits
        ]
        console.print(table(["", "limit", "found", "allowed"], lines, False))


def _describe(change: Change) -> list[object]:
    ratios = " -> ".join(
        judged.reason or "-" if judged.ratio is None else f"{judged.ratio:.3f}"
        for judged in (change.before, change.after)
    )
    place = change.file or f"{change.topic}/{change.partition}/{change.offset}"
    return [change.kind, change.camera, rfc3339(change.captured_at), place, change.label or "", ratios]
