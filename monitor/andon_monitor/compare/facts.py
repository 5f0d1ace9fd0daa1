"""What is known about both sides, as text for the terminal and the page."""

from collections.abc import Sequence

from andon_monitor.common.intervals import Rate
from andon_monitor.compare.results import OTHER_PRODUCTS, Comparison, SideResult
from andon_monitor.sinks.summary import GOOD

INTERVAL_WORDS = "the real share lies between these values in 95 of 100 cases"


def describe_sides(sides: Sequence[SideResult]) -> list[tuple[str, list[str]]]:
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


def describe_products(comparison: Comparison) -> tuple[list[str], list[list[object]]]:
    """Headers, and a row for each product; no rows where no frame has a product."""
    compared = comparison.before is not None
    headers = ["product", "frames", *(["baseline flags"] if compared else []), "model flags"]
    headers += ["change"] if compared else []
    rows: list[list[object]] = []
    for name, found in sorted(comparison.products.items()):
        flagged = [rate_words(side.flagged_rate) for side in (found.before, found.after) if side is not None]
        rows.append([name, found.after.outcomes.total(), *flagged, *([found.changed] if compared else [])])
    return headers, [] if set(comparison.products) <= {OTHER_PRODUCTS} else rows


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
