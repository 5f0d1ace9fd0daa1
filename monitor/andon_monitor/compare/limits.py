"""Limits given on the command line, and whether a comparison keeps them."""

from dataclasses import dataclass

from andon_monitor.common.intervals import Rate
from andon_monitor.compare.results import NEW_FALSE_ALARM, NEWLY_MISSED, Comparison
from andon_monitor.errors import UsageError


@dataclass(frozen=True)
class ComparisonLimits:
    """The most, or the least, that is allowed; shares from 0 to 1, None for no limit."""

    max_changed: float | None = None
    max_flagged: float | None = None
    max_false_alarms: float | None = None
    min_detection: float | None = None
    max_new_misses: int | None = None
    max_new_false_alarms: int | None = None
    max_milliseconds: float | None = None


@dataclass(frozen=True)
class LimitResult:
    """One limit: what was found, what is allowed, and whether it is kept."""

    name: str
    found: str
    allowed: str
    kept: bool


def check_limits(comparison: Comparison, limits: ComparisonLimits) -> list[LimitResult]:
    """Compare what was found with each limit given. Shares are the measured ones, not the ends of their intervals.

    Raises UsageError for a limit on something unknown, such as false alarms without labels.
    """
    after, counts = comparison.after, comparison.counts
    results: list[LimitResult] = []

    def at_most(option: str, what: str, found: float | None, limit: float | None, needs: str, percent: bool) -> None:
        if limit is None:
            return
        if found is None:
            raise UsageError(f"{option}: {limit:g} needs {needs}")
        show = "{:.3%}" if percent else "{:g}"
        results.append(LimitResult(what, show.format(found), f"at most {show.format(limit)}", found <= limit))

    labels = "labels of good parts: a labelled recording, or --labels"
    baseline = "a --baseline"
    changed = comparison.changed_rate if comparison.before is not None else None
    at_most("--max-changed", "changed verdicts", _share(changed), limits.max_changed, baseline, True)
    at_most("--max-flagged", "flagged", _share(after.flagged_rate), limits.max_flagged, "inspected frames", True)
    at_most("--max-false-alarms", "false alarms", _share(after.false_alarms), limits.max_false_alarms, labels, True)
    if limits.min_detection is not None:
        found = _share(after.detection)
        if found is None:
            raise UsageError(f"--min-detection: {limits.min_detection:g} needs labelled defects")
        allowed = f"at least {limits.min_detection:.3%}"
        results.append(LimitResult("detection", f"{found:.3%}", allowed, found >= limits.min_detection))
    known = comparison.before is not None and comparison.labelled > 0
    both = f"{baseline} and labels"
    misses, alarms = ((counts[kind] if known else None) for kind in (NEWLY_MISSED, NEW_FALSE_ALARM))
    at_most("--max-new-misses", "newly missed defects", misses, limits.max_new_misses, both, False)
    at_most("--max-new-false-alarms", "new false alarms", alarms, limits.max_new_false_alarms, both, False)
    at_most("--max-latency", "milliseconds per frame", after.milliseconds, limits.max_milliseconds, "a --model", False)
    return results


def _share(found: Rate | None) -> float | None:
    return None if found is None else found.share
