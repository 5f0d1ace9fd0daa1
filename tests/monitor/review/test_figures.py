"""How many alarms were right, and what other thresholds would have done, is counted from labels."""

from andon_monitor.model.calibration import calibrate
from andon_monitor.model.file import Model
from andon_monitor.review import figures, labels
from andon_monitor.review.store import Store

from tests.fixtures.review_line import ids


def test_precision_and_other_thresholds_are_counted(store: Store, model: Model) -> None:
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
    outcomes = figures.compare_thresholds(decided, model.card)
    assert [o.threshold for o in outcomes] == sorted((o.threshold for o in outcomes), reverse=True)
    assert [o.threshold for o in outcomes if o.is_current] == [model.card.threshold]


def test_thresholds_of_other_rates_are_in_the_order_of_their_rates(model: Model) -> None:
    scores = [1 + 0.01 * i for i in range(59)] + [3.0]
    card = model.card.model_copy(update={"calibration": calibrate(scores, 0.001)})
    outcomes = figures.compare_thresholds([], card)
    assert len(outcomes) > 4
    assert [o.threshold for o in outcomes] == sorted((o.threshold for o in outcomes), reverse=True)
    rates = [o.false_alarm_rate or 0 for o in outcomes]
    assert rates == sorted(rates)
