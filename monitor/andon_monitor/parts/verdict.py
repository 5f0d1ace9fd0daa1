"""The verdict of a part from its views: a pure function, whatever the order in which the views came."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from andon_monitor.common.times import rfc3339
from andon_monitor.parts.views import View
from andon_monitor.settings.groups import ANY_PRODUCT, PartsSettings

PartOutcome = Literal["good", "defect", "incomplete"]
# Why a part is incomplete: `telemetry.catalogue.INCOMPLETE_REASONS`.
Reason = Literal["missing", "uninspectable", "unknown_product", "products_differ"]
# What ended the wait for views: all came, the time-out, too many open parts, the end of the source; or a late defect.
Cause = Literal["complete", "timeout", "overflow", "end", "late"]

SIGNIFICANT_DIGITS = 6  # of rates; more would show how floating-point numbers add up
MILLISECONDS = 1000


@dataclass(frozen=True)
class Rules:
    """Which views a part has, by product, and how long they are waited for. Times in milliseconds.

    `keep`: how long a part is remembered after its time-out. `max_parts` are open or remembered at once.
    `false_alarm_rate` is the one wanted for parts, None where there is no wish.
    """

    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    timeout: int = 30_000
    keep: int = 60_000
    max_parts: int = 10_000
    false_alarm_rate: float | None = None

    @classmethod
    def from_settings(cls, settings: PartsSettings) -> "Rules":
        """The rules among the settings."""
        return cls(
            views=settings.views,
            timeout=round(settings.timeout * MILLISECONDS),
            keep=round(settings.keep * MILLISECONDS),
            max_parts=settings.max_parts,
            false_alarm_rate=settings.false_alarm_rate,
        )

    def expected(self, product: str | None) -> tuple[str, ...] | None:
        """The views of a product, None where the settings do not say."""
        return self.views.get(product or ANY_PRODUCT, self.views.get(ANY_PRODUCT))


@dataclass(frozen=True, slots=True)
class PartVerdict:
    """The result for one part. `time`: that of its last view, in milliseconds since 1970; `fields`: as in its JSON."""

    id: str
    part: str
    product: str | None
    outcome: PartOutcome
    reason: Reason | None
    missing: tuple[str, ...]
    revision: int
    time: int
    fields: Mapping[str, Any]

    def to_json(self) -> str:
        """One line of JSON: keys always in the same order, none without a value."""
        return json.dumps(self.fields, ensure_ascii=False)


def conclude(
    firsts: Sequence[View], defects: Sequence[View], repeats: int, rules: Rules, cause: Cause, revision: int
) -> PartVerdict:
    """The verdict of a part.

    `firsts`: the first view of each name, at least one. `defects`: the first defect of each name that has one.
    `repeats`: further views. A defect counts wherever it is; a good view only if it came in time.
    """
    first = min(firsts, key=lambda view: view.rank)
    deadline = first.time + rules.timeout
    in_time = {view.name: view for view in firsts if view.time <= deadline}
    products = sorted({view.product for view in in_time.values() if view.product is not None})
    product = products[0] if len(products) == 1 else None
    expected = None if len(products) > 1 else rules.expected(product)
    names = [name for name in expected or () if name in in_time]
    names += sorted(set(in_time) - set(names))
    shown = [in_time[name] for name in names]
    extra = sorted((view for view in defects if in_time.get(view.name) != view), key=lambda view: view.rank)
    missing = tuple(name for name in expected or () if name not in in_time)
    uninspectable = [view.name for view in shown if view.outcome == "uninspectable"]
    guilty = list(dict.fromkeys(view.name for view in [*shown, *extra] if view.outcome == "defect"))

    outcome: PartOutcome = "incomplete"
    reason: Reason | None = None
    if guilty:
        outcome = "defect"
    elif len(products) > 1:
        reason = "products_differ"
    elif expected is None:
        reason = "unknown_product"
    elif missing:
        reason = "missing"
    elif uninspectable:
        reason = "uninspectable"
    else:
        outcome = "good"

    last = max(view.time for view in [*shown, *extra])
    original = _id(first, 1)
    orders = sorted({view.order for view in shown if view.order is not None})
    fields: dict[str, Any] = {
        "id": _id(first, revision),
        "part": {"id": first.part}
        | ({} if product is None else {"product": product})
        | ({"order": orders[0]} if len(orders) == 1 else {}),
        "verdict": outcome,
        "reason": reason,
        "revision": revision,
        "revises": original if revision > 1 else None,
        "cause": cause,
        "started_at": rfc3339(first.time / MILLISECONDS),
        "ended_at": rfc3339(last / MILLISECONDS),
        "defects": guilty,
        "missing": list(missing),
        "uninspectable": uninspectable,
        "repeated_views": repeats,
        "false_alarm_rate": _false_alarm_rate(shown, repeats, expected, rules.false_alarm_rate),
        "p_value": _p_value(shown),
        "views": [view.to_dict() for view in shown]
        + [view.to_dict() | {"late" if view.time > deadline else "repeated": True} for view in extra],
    }
    kept = {name: value for name, value in fields.items() if value not in (None, [], 0)}
    return PartVerdict(fields["id"], first.part, product, outcome, reason, missing, revision, last, kept)


def combined_rates(rates: Sequence[float]) -> tuple[float, float]:
    """The share of good parts that n views flag, at these rates: its upper bound, and where the views are independent.

    The bound is the sum (Boole's inequality) and holds whatever the views have in common.
    """
    independent = -math.expm1(sum(math.log1p(-min(rate, 1 - 1e-12)) for rate in rates))
    return _rounded(min(1.0, math.fsum(rates))), _rounded(independent)


def rate_for_each(part_rate: float, views: int) -> float:
    """The false-alarm rate of each of n views with which the part keeps its rate, whatever the views have in common."""
    return _rounded(part_rate / views)


def _false_alarm_rate(
    shown: Sequence[View], repeats: int, expected: Sequence[str] | None, wanted: float | None
) -> dict[str, Any] | None:
    rates = [view.rate for view in shown if view.rate is not None and view.outcome != "uninspectable"]
    found: dict[str, Any] = {}
    if rates:
        rates += [max(rates)] * repeats  # each of them may have raised a false alarm, too
        bound, independent = combined_rates(rates)
        found |= {"bound": bound, "if_independent": independent}
    if wanted is not None:
        found["wanted"] = wanted
        if expected:
            found["for_each_view"] = rate_for_each(wanted, len(expected))
    return found or None


def _p_value(shown: Sequence[View]) -> float | None:
    """The smallest of n p-values times n (Bonferroni): small where one view is odd, whatever views have in common."""
    values = [view.p_value for view in shown if view.p_value is not None]
    return _rounded(min(1.0, len(values) * min(values))) if values else None


def _id(first: View, revision: int) -> str:
    """An id of 32 hexadecimal digits, the same in every replay: it follows from the part's first view."""
    return sha256("\0".join(("part", first.part, first.id, str(revision))).encode()).hexdigest()[:32]


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
