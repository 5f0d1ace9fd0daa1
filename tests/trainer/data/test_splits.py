"""Splits: near-twins on one side, nothing lost, and of several splits every image held out once."""

import numpy as np
import pytest
from andon_trainer.data.splits import common_to, split, splits, together, whole_batches


def test_split_keeps_twins_together_and_loses_nothing() -> None:
    groups = np.repeat(np.arange(400), 3)
    parts = split(groups, seed=0)
    everything = np.concatenate([parts.train, parts.validation, parts.calibration])
    assert sorted(everything) == list(range(1200))
    sides = [set(groups[part]) for part in (parts.train, parts.validation, parts.calibration)]
    assert len(set.union(*sides)) == sum(len(side) for side in sides)
    assert len(parts.calibration) == pytest.approx(240, abs=3)
    assert len(parts.validation) == pytest.approx(120, abs=3)


def test_split_of_few_images_validates_on_the_calibration_images() -> None:
    parts = split(np.arange(45), seed=0)
    assert len(parts.calibration) == 9
    assert (parts.validation == parts.calibration).all()
    assert not set(parts.train) & set(parts.calibration)


def test_split_depends_on_the_seed_alone() -> None:
    groups = np.arange(50)
    assert (split(groups, 1).train == split(groups, 1).train).all()
    assert set(split(groups, 1).calibration) != set(split(groups, 2).calibration)


def test_of_three_splits_each_holds_out_another_third() -> None:
    groups = np.repeat(np.arange(50), 2)
    parts = splits(groups, seed=3, count=3)
    assert sorted(np.concatenate([part.calibration for part in parts])) == list(range(100))
    for part in parts:
        assert len(part.calibration) == pytest.approx(100 / 3, abs=2)
        assert sorted(np.concatenate([part.train, part.calibration])) == list(range(100))
        assert not set(groups[part.train]) & set(groups[part.calibration])
    whole = together(parts)
    assert (len(whole.train), len(whole.calibration)) == (100, 100)
    assert len(common_to(parts)) == 0


@pytest.mark.parametrize(("count", "held_out"), [(2, 30), (4, 22), (6, 15)])
def test_other_numbers_of_splits_hold_out_a_third_at_most(count: int, held_out: int) -> None:
    parts = splits(np.arange(90), seed=0, count=count)
    assert [len(part.calibration) for part in parts] == pytest.approx([held_out] * count, abs=1)
    together_held_out = np.concatenate([part.calibration for part in parts])
    assert len(together_held_out) == len(set(together_held_out))


def test_of_many_images_some_are_held_out_each_time() -> None:
    groups = np.repeat(np.arange(200), 2)
    parts = splits(groups, seed=3, count=3)
    common = common_to(parts)
    assert len(common) == 20
    own = [set(part.calibration) - set(common) for part in parts]
    assert [len(part) for part in own] == pytest.approx([380 / 3] * 3, abs=2)
    assert len(set.union(*own)) == 380
    assert len(together(parts).train) == 380, "what is common is learned from by none"


def test_of_very_many_images_no_more_are_held_out_than_are_needed() -> None:
    parts = splits(np.arange(6000), seed=0, count=3)
    assert [len(part.calibration) for part in parts] == [1200] * 3
    assert len(common_to(parts)) == 300
    assert all(len(part.validation) == 200 and len(part.train) == 4600 for part in parts)


def test_there_are_fewer_splits_where_images_are_few_or_groups_large() -> None:
    assert [len(part.calibration) for part in splits(np.arange(8), seed=0, count=3)] == [4, 4]
    assert len(splits(np.arange(6), seed=0, count=3)) == 1
    assert len(splits(np.repeat(np.arange(5), 10), seed=0, count=5)) == 5
    assert len(splits(np.repeat(np.arange(3), [18, 1, 1]), seed=0, count=3)) < 3
    for part in splits(np.repeat(np.arange(4), [60, 60, 60, 20]), seed=0, count=3):
        assert len(part.train) >= 200 / 3


def test_of_five_batches_whole_ones_are_held_out() -> None:
    batches = [f"night-{i // 20}" for i in range(100)]
    units = whole_batches(np.arange(100), batches)
    held_out = {batches[i] for i in split(units, seed=0).calibration}
    assert len(held_out) == 1
    assert not held_out & {batches[i] for i in split(units, seed=0).train}
    groups = np.concatenate([np.arange(20), [19], np.arange(20, 99)])  # a part was photographed in two nights
    assert whole_batches(groups, batches) is groups  # together, both nights are two fifths of the images
    tens = [f"night-{i // 10}" for i in range(100)]
    assert whole_batches(groups, tens).tolist() == [*[0] * 10, *[1] * 20, *(i // 10 for i in range(20, 90))]


@pytest.mark.parametrize(
    "batches",
    [
        [f"night-{i // 25}" for i in range(100)],
        ["night-0"] * 60 + [f"night-{i}" for i in range(40)],
        [None, *[f"night-{i // 10}" for i in range(99)]],
    ],
)
def test_with_few_batches_or_a_large_one_images_are_held_out_from_each(batches: list[str | None]) -> None:
    assert (whole_batches(np.arange(100), batches) == np.arange(100)).all()
