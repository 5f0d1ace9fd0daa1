import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from andon_monitor.errors import OutputError
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.inspection.part import Part
from andon_monitor.model.file import Model
from andon_monitor.run.pipeline import Pipeline
from andon_monitor.run.text import print_summary
from andon_monitor.sinks import summary as summary_module
from andon_monitor.sinks.summary import Quantiles, Summary
from rich.console import Console

from tests.fixtures.list_ends import ListSource
from tests.fixtures.small_model import draw, encode, make_frame

LABELLED = [
    (draw(1), "good"),
    (draw(2), "good"),
    (draw(3, defect=True), "good"),  # a false alarm
    (draw(4, defect=True), "scratch"),
    (draw(5, defect=True), "scratch"),
    (draw(6), "scratch"),  # missed
    (draw(7, defect=True), "dent"),
    (draw(8) // 20, "dent"),  # not inspected
    (draw(9) // 20, "good"),  # not inspected
]


@pytest.fixture
def summary(model: Model) -> Summary:
    summary = Summary(false_alarm_rate=0.01)
    frames = [
        make_frame(encode(image), i, camera="a" if i < 4 else "b", label=label)
        for i, (image, label) in enumerate(LABELLED)
    ]
    Pipeline(ListSource(frames), Inspector(model), [summary]).run()
    return summary


def test_it_counts_outcomes_reasons_and_cameras(summary: Summary) -> None:
    facts = summary.to_dict()
    assert facts["frames"] == 9
    assert facts["verdicts"] == {"good": 3, "defect": 4, "uninspectable": 2}
    assert facts["uninspectable"] == {"too_dark": 2}
    assert facts["cameras"] == {
        "a": {"good": 2, "defect": 2, "uninspectable": 0},
        "b": {"good": 1, "defect": 2, "uninspectable": 2},
    }
    assert facts["seconds"] > 0


def test_it_says_what_was_caught_and_missed(summary: Summary) -> None:
    assert summary.to_dict()["truth"] == {
        "good": {"passed": 2, "false_alarms": 1, "not_inspected": 1},
        "defects": {
            "dent": {"caught": 1, "missed": 0, "not_inspected": 1},
            "scratch": {"caught": 2, "missed": 1, "not_inspected": 0},
        },
        "caught": 3,
        "missed": 1,
    }


def test_the_printed_summary_says_the_same(summary: Summary) -> None:
    text = io.StringIO()
    print_summary(summary, Console(file=text, width=120))
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    assert ": 3 good, 4 defects, 2 uninspectable (2 too_dark)" in lines[0]
    assert "scratch 3 2 1 0" in lines
    assert "dent 2 1 0 1" in lines
    assert "all defects 5 3 1 1" in lines
    assert "1 false alarm in 3 good parts (33.33%); the threshold was set for 1.00%" in lines


def test_without_labels_there_is_no_truth_and_without_frames_no_rate(model: Model) -> None:
    summary = Summary()
    Pipeline(ListSource([make_frame(encode(draw(1)))]), Inspector(model), [summary]).run()
    assert "truth" not in summary.to_dict()
    empty = Summary().to_dict()
    assert (empty["frames"], empty["frames_per_second"]) == (0, None)
    text = io.StringIO()
    print_summary(Summary(), Console(file=text))
    assert text.getvalue().startswith("0 frames in 0.0 s: 0 good, 0 defects, 0 uninspectable")


def test_it_is_saved_as_json_or_not_at_all(summary: Summary, tmp_path: Path) -> None:
    summary.save(tmp_path / "summary.json")
    assert json.loads((tmp_path / "summary.json").read_text()) == summary.to_dict()
    with pytest.raises(OutputError, match="No space left"):
        summary.save(Path("/dev/full"))


@pytest.mark.parametrize(
    "draw_values", [lambda rng: rng.lognormal(-5, 1, 5000), lambda rng: rng.uniform(0.001, 2, 5000)]
)
def test_quantiles_are_right_within_their_buckets(draw_values: object) -> None:
    values = draw_values(np.random.default_rng(0))
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value)
    for share in (0.1, 0.5, 0.99):
        assert quantiles.at(share) == pytest.approx(np.quantile(values, share, method="inverted_cdf"), rel=0.026)


def test_quantiles_take_any_value_in_constant_memory() -> None:
    quantiles = Quantiles()
    size = sys.getsizeof(quantiles._counts)
    for value in (0.0, 1e-9, 1.0, 1e9):
        quantiles.add(value)
    assert sys.getsizeof(quantiles._counts) == size
    assert Quantiles().at(0.5) is None


def test_it_counts_frames_by_product_where_the_producer_names_one(model: Model) -> None:
    summary = Summary()
    products = ("plate", "cover", "plate", None)
    frames = [
        make_frame(encode(draw(i, defect=i == 2)), i, part=None if name is None else Part(product=name))
        for i, name in enumerate(products)
    ]
    Pipeline(ListSource(frames), Inspector(model), [summary]).run()
    assert summary.to_dict()["products"] == {
        "cover": {"good": 1, "defect": 0, "uninspectable": 0},
        "plate": {"good": 1, "defect": 1, "uninspectable": 0},
    }
    text = io.StringIO()
    print_summary(summary, Console(file=text))
    assert re.search(r"^product +frames +good +defect +uninspectable *$", text.getvalue(), re.M)
    assert re.search(r"^plate +2 +1 +1 +0 *$", text.getvalue(), re.M)


def test_names_without_end_are_counted_together(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_module, "MAX_NAMES", 3)
    summary = Summary()
    frames = [make_frame(b"", i, camera=f"c{i}", label=f"l{i}") for i in range(10)]
    Pipeline(ListSource(frames), Inspector(model), [summary]).run()
    assert summary.to_dict()["cameras"]["other"]["uninspectable"] == 7
    assert len(summary.kinds) == 4
