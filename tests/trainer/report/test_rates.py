"""The table of rates, and what would help."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from andon_monitor.model.card import Card, Probe
from andon_monitor.model.imaging import load
from andon_trainer.evaluation import Judged, measure
from andon_trainer.report.rates import rate_rows, what_would_help

from tests.fixtures.small_model import SPEC, draw, encode, make_card


def made_up(name: str, *scores: float) -> Probe:
    return Probe(kind="made-up", name=name, scores=scores)


@pytest.fixture(scope="module")
def card() -> Card:
    return make_card(np.stack([load(encode(draw(i)), SPEC) for i in range(120)]))


def test_a_higher_rate_finds_and_flags_no_less(card: Card) -> None:
    high, low = card.calibration.scores[-1], card.calibration.scores[0]
    scores = np.linspace(low, 1.2 * high, 40)
    images = [Judged(Path(f"{i}.png"), ("good", "dent")[i % 2], float(s), False) for i, s in enumerate(scores)]
    probes = (made_up("2 %", *map(float, scores)),)
    rows = rate_rows(card.model_copy(update={"probes": probes}), measure(images, card.threshold))
    assert [row.false_alarm_rate for row in rows if row.is_current] == [card.calibration.false_alarm_rate]
    assert [row.is_supported for row in rows] == [row.false_alarm_rate >= 0.01 for row in rows]
    for before, after in itertools.pairwise(rows):
        assert before.threshold >= after.threshold
        for lower, higher in (
            (before.alarms, after.alarms),
            (before.found, after.found),
            (before.made_up, after.made_up),
        ):
            assert lower is not None
            assert higher is not None
            assert lower.flagged <= higher.flagged


@pytest.mark.parametrize(
    ("few", "many", "training", "said"),
    [
        ("high", "high", {}, None),
        ("between", "between", {}, "A higher rate helps: at "),
        ("low", "high", {}, "Small defects are missed: 0 % of those of 2 % are found, 100 % of 10 %"),
        ("low", "low", {}, "No threshold helps (at 10 % false alarms 0 %)"),
        ("low", "low", {"ended": "budget", "iterations": 23}, "The network was hardly trained (23 steps; 300 and more"),
    ],
)
def test_what_would_help_comes_from_what_was_measured(
    card: Card, few: str, many: str, training: dict[str, object], said: str | None
) -> None:
    scores = card.calibration.scores
    level = {"high": 2 * scores[-1], "low": scores[0], "between": (scores[-6] + card.threshold) / 2}
    probes = (made_up("2 %", *[level[few]] * 20), made_up("10 %", *[level[many]] * 20))
    changes = {"probes": probes, "training": card.training.model_copy(update=training)}
    changed = card.model_copy(update=changes)
    found = what_would_help(changed, rate_rows(changed, None))
    assert (found is None) == (said is None)
    assert said is None or (found is not None and found.startswith(said))
