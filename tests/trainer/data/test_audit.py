"""What was learned from: which images are named and which left out of the threshold."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_trainer.data.audit import FAR_OUT_DEVIATIONS, audit, far_out, robust_deviations, samples_by_group
from andon_trainer.data.sample import Sample
from andon_trainer.data.splits import Split
from andon_trainer.network.registration import fit_registration

from tests.fixtures.images import plate, plates, textures

RNG = np.random.default_rng(0)
GOOD_SCORES = RNG.normal(1, 0.2, 60)


def samples(count: int, folder: str = "good") -> list[Sample]:
    return [Sample(Path(folder) / f"{i:03d}.png", "good") for i in range(count)]


@pytest.mark.parametrize(
    ("scores", "left_out"),
    [
        ([*GOOD_SCORES], []),
        ([*GOOD_SCORES, 9.0], [60]),  # one defect among them
        ([9.0, *GOOD_SCORES, 8.0], []),  # two of 62 are more than 1 %: parts that vary so much
        ([9.0, *np.tile(GOOD_SCORES, 4), 8.0], [0, 241]),
        ([*GOOD_SCORES[:10], 9.0], []),  # too few to know their spread
        ([*GOOD_SCORES, 1 + 0.2 * 4], []),  # far, not far out
        ([1.0] * 60, []),
    ],
)
def test_few_images_that_score_far_out_set_no_threshold(scores: list[float], left_out: list[int]) -> None:
    assert np.flatnonzero(far_out(scores)).tolist() == left_out


def test_robust_deviations_are_those_of_a_normal_distribution_and_no_outlier_moves_them() -> None:
    values = np.random.default_rng(1).normal(5, 2, 20_000)
    usual = np.concatenate([values, [1e6] * 200])
    np.testing.assert_allclose(robust_deviations([5, 7, 1], usual), [0, 1, -2], atol=0.05)


def test_groups_of_near_duplicates_come_largest_first() -> None:
    found = samples_by_group(samples(6), np.array([4, 0, 1, 0, 1, 1]))
    assert [[sample.path.stem for sample in group] for group in found] == [["002", "004", "005"], ["001", "003"]]


def test_outliers_are_named_with_what_it_was_used_for() -> None:
    images = (textures(50, RNG) * 0.3 + 90).astype(np.uint8)
    images[4] = 255 - images[4] // 8  # overexposed
    images[9] = cv2.GaussianBlur(images[9], (0, 0), 6)[..., None]
    images[20] = images[21]
    scores = RNG.normal(1, 0.1, 50).astype(np.float32)
    scores[45], scores[2] = (
        1 + 0.1 * 2 * FAR_OUT_DEVIATIONS,
        1 + 0.1 * FAR_OUT_DEVIATIONS,
    )  # a defect held out, one learned from
    held_out = np.arange(25, 50)
    groups = np.arange(50)
    groups[20] = groups[21]
    halves = Split(np.arange(25), held_out, held_out, groups)
    found = audit(samples(50), images, halves, scores, [], images[:0])
    assert [(outlier.sample.path.stem, outlier.use) for outlier in found.suspects] == [
        ("045", "held out"),
        ("002", "learned from"),
    ]
    assert [outlier.sample.path.stem for outlier in found.brightness.outliers] == ["004"]
    assert {outlier.sample.path.stem for outlier in found.sharpness.outliers} == {"004", "009"}
    assert (len(found.near_duplicates), found.copies, found.tested, found.tested_near_duplicates) == (1, 1, 0, ())
    assert found.counts() == {"suspects": 2, "tested_twins": 0}


def test_a_part_that_lies_far_off_is_named_and_how_it_lies_is_told() -> None:
    images = np.concatenate([plates(40), plate((0, 0), 4)[None], plate((5, 0), 0)[None]])
    registration = fit_registration(images[:40], seed=0)
    assert registration is not None
    every = np.arange(42)
    split = Split(every[:30], every[30:], every[30:], every)
    found = audit(samples(42), images, split, np.ones(42, np.float32), [], images[:0], registration.poses(images))
    assert found.shift is not None
    assert found.turn is not None
    middle = np.median(found.turn.values[:40])
    assert found.turn.values[40] - middle == pytest.approx(4, abs=0.8)
    assert 96 * found.shift.values[41] == pytest.approx(5, abs=0.8)
    assert found.shift.outliers[0].sample.path.stem == "041"
