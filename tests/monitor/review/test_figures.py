"""How many alarms were right, and what other thresholds would have done, is counted from labels."""

from andon_monitor.model.file import Model
from andon_monitor.review import figures, labels
from andon_monitor.review.store import Store

from tests.fixtures.review_line import ids


def test_precision_and_what_a_threshold_does_are_counted(store: Store, model: Model) -> None:
    found = ids(store)
    for i, frame in enumerate(found[:8]):
        labels.add_label(store, frame, "confirmed" if i < 6 else "false alarm", "", "ann")
    (week,) = figures.count_weeks(store)
    assert (week.name, week.confirmed, week.false_alarms, week.unlabelled) == ("2026-W02", 6, 2, 4)
    assert week.precision is not None
    assert week.precision.share == 0.75
    decided = store.frames.decided_scores(model.sha256)
    assert len(decided) == 8
    high = figures.apply_threshold(decided, 1e9)
    assert (high.defects_found, high.defects_missed, high.false_alarms, high.good_passed) == (0, 6, 0, 2)
    low = figures.apply_threshold(decided, 0.0)
    assert (low.defects_found, low.defects_missed, low.false_alarms, low.good_passed) == (6, 0, 2, 0)
