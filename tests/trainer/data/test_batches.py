"""Batches: each judged by what the others set, what a new one may do, and whether there are any that nobody named."""

import numpy as np
import pytest
from andon_monitor.model.calibration import calibrate
from andon_trainer.data.batches import Batch, Batches, compare_batches, follow_order

RATE = 0.05


def of_shares(*shares: int, whole: bool = True) -> Batches:
    return Batches(tuple(Batch(f"{i}", 100, 1.0, share) for i, share in enumerate(shares)), whole, len(shares))


def drawn(rng: np.random.Generator, batches: int, images: int, apart: float) -> np.ndarray:
    """Scores [batches, images] whose batches differ by `apart` standard deviations of their images."""
    return 1 + 0.2 * (rng.normal(0, 1, (batches, images)) + apart * rng.normal(0, 1, (batches, 1)))


def test_each_batch_is_judged_by_a_threshold_that_the_others_set() -> None:
    rng = np.random.default_rng(0)
    scores = drawn(rng, 4, 60, apart=0)
    scores[2] += 1
    found = compare_batches(np.repeat(list("dacb"), 60).tolist(), scores.ravel(), True, 9, RATE)
    assert found is not None
    assert [(batch.name, batch.images) for batch in found.each] == [(name, 60) for name in "abcd"]
    by_name = {batch.name: batch for batch in found.each}
    others = scores[[0, 1, 3]].ravel()
    assert by_name["c"].flagged == (scores[2] > calibrate(others, RATE).threshold).sum() > 40
    assert by_name["c"].median == pytest.approx(np.median(scores[2]))
    assert max(by_name[name].flagged for name in "abd") < 10


@pytest.mark.parametrize("names", [["a"] * 9, ["a"] * 8 + [None], ["a"] * 8 + ["b"]])
def test_what_cannot_be_compared_is_not(names: list[str | None]) -> None:
    scores = np.arange(9.0)
    found = compare_batches(names, scores, True, 9, 0.1)
    assert found is None


def test_the_limit_is_the_share_that_four_of_five_new_batches_do_not_exceed() -> None:
    assert of_shares(9, 1, 3, 2).limit == 0.09, "the highest of four"
    assert of_shares(1, 2, 3, 4, 5, 6, 7, 8, 9).limit == 0.08, "the eighth of nine"
    assert of_shares(9, 1, 3).limit is None
    assert of_shares(9, 1, 3, 2, whole=False).limit is None


@pytest.mark.parametrize(("batches", "images"), [(5, 60), (20, 30)])
@pytest.mark.parametrize("apart", [0.0, 1.0, 2.0])
def test_new_batches_stay_below_the_limit_as_often_as_it_says(batches: int, images: int, apart: float) -> None:
    rng = np.random.default_rng(0)
    below = []
    for _ in range(60):
        scores = drawn(rng, batches, images, apart)
        names = np.repeat(np.arange(batches).astype(str), images).tolist()
        found = compare_batches(names, scores.ravel(), True, 9, RATE)
        assert found is not None
        assert found.limit is not None
        new = drawn(rng, 10, 200, apart)
        threshold = calibrate(scores.ravel(), RATE).threshold
        below += ((new > threshold).mean(axis=1) <= found.limit).tolist()
    assert np.mean(below) > 0.72


def test_scores_that_follow_their_order_are_noticed_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    each = np.arange(200)
    assert follow_order(drawn(rng, 10, 20, apart=1).ravel(), each)
    assert not any(follow_order(drawn(rng, 10, 20, apart=0).ravel(), each) for _ in range(200))
    twins = np.repeat(rng.normal(1, 0.2, 100), 2)
    assert follow_order(twins, each)
    assert not follow_order(twins, each // 2), "photographs of one part score the same and are no batch"
    assert not follow_order([1.0, 2.0, 3.0], each[:3])
