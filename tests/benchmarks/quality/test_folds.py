"""Cross-validation over groups: nothing of a group on both sides, and intervals that know how few groups there are."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_trainer.data.dataset import open_dataset

from tests.benchmarks.quality import choices
from tests.benchmarks.quality.cross_validation import table_of
from tests.benchmarks.quality.folds import CrossValidated, divide


def screws(folder: Path) -> Path:
    """Images of six places, four of each, named as those of `ballscrew`; and three defects."""
    rng = np.random.default_rng(0)
    for kind, places, each in (("train/good", range(4), 4), ("test/good", range(4, 6), 4), ("test/pit", range(3), 1)):
        (folder / kind).mkdir(parents=True)
        for place in places:
            for i in range(each):
                path = folder / kind / f"01_{i}_{place}_090_crop_{i}.png"
                cv2.imwrite(str(path), rng.integers(0, 256, (64, 64), dtype=np.uint8))
    return folder


def test_every_good_image_is_scored_by_a_model_that_never_saw_its_place(tmp_path: Path) -> None:
    divided = divide(open_dataset(screws(tmp_path)), "ballscrew", 3)
    assert len(np.unique(divided.groups)) == 6
    held_out = np.concatenate([fold.good for fold in divided.folds])
    assert sorted(held_out.tolist()) == list(range(24))
    for fold in divided.folds:
        learned = {sample.path for sample in fold.learned.train}
        held = {divided.good[i].path for i in fold.good}
        assert len(learned) + len(held) == 24
        assert not {path.stem.split("_")[2] for path in learned} & {path.stem.split("_")[2] for path in held}
        assert {sample.label for sample in fold.learned.train} == {"good"}
    assert [sample.label for sample in divided.defects] == ["pit"] * 3


def scored(good: list[float], groups: list[int]) -> CrossValidated:
    fold = np.zeros(len(good), np.int64)
    return CrossValidated(np.array(good), fold, np.array([[2.0, 1.0]]), np.array(groups), np.arange(2))


def test_an_auroc_is_the_share_of_pairs_in_their_order() -> None:
    assert scored([0, 1, 3, 1.5], [0, 1, 2, 3]).auroc == pytest.approx((1 + 1 + 1 + 0.5 + 0 + 0 + 1 + 0) / 8)


def test_of_few_groups_the_interval_is_wide() -> None:
    good = [0.0, 0.0, 3.0, 3.0] * 10
    many, few = (scored(good, groups).interval for groups in (list(range(40)), [0, 0, 1, 1] * 10))
    assert few[1] - few[0] > many[1] - many[0] > 0.1
    assert few == (0.0, 1.0)


def test_groups_that_other_folds_hold_out_do_not_count() -> None:
    good = [0.0, 1.0, 3.0, 1.5]
    assert scored(good, [3, 5, 9, 90]).interval == scored(good, [0, 1, 2, 3]).interval


def test_the_gain_on_a_method_is_of_the_same_draws() -> None:
    one, other = scored([0, 1, 3, 1.5], [0, 1, 2, 3]), scored([0, 1, 1.5, 1.5], [0, 1, 2, 3])
    assert one.gain_on(one) == (0, 0)
    low, high = other.gain_on(one)
    assert 0 == low < other.auroc - one.auroc < high


def test_a_table_says_what_the_last_method_gains() -> None:
    one, other = scored([0, 1, 3, 1.5], [0, 1, 2, 3]), scored([0, 1, 1.5, 1.5], [0, 1, 2, 3])
    columns = table_of({"one": {"set": one}, "other": {"set": other}}).columns
    gain = [str(cell) for cell in columns[-1].cells]
    assert gain[0].startswith("+0.125 (+0.00 to ")
    assert gain[-1] == "1 of 1 sets, p = 1.00"


def test_every_choice_is_measured_on_a_score_of_its_own(tmp_path: Path) -> None:
    divided = divide(open_dataset(screws(tmp_path)), "ballscrew", 3)
    scores = choices.measure(divided, 0, steps=1, threads=1)
    assert {choices.DEFAULT, choices.ALONE, "without encoder's features", "equal votes"} <= set(scores)
    of_each = {(*each["good"], *each["defects"]) for each in scores.values()}
    assert len(of_each) >= 6  # on textures, equal votes change nothing, and so on
    assert all(len(each) == 8 + 3 for each in of_each)


def test_a_choice_that_a_set_does_not_have_changes_nothing_there() -> None:
    one, other = scored([0, 1, 3, 1.5], [0, 1, 2, 3]), scored([0, 1, 1.5, 1.5], [0, 1, 2, 3])
    table = choices.table_of({choices.DEFAULT: {"a": one, "b": one}, "without it": {"a": other}})
    cells = [list(column.cells)[1] for column in table.columns]
    assert cells == ["without it", "+0.125", "", "+0.0625", f"{one.auroc:.3f}", "1 of 1 sets, p = 1.00"]
