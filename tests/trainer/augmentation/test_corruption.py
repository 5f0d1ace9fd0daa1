"""Corruptions: what they promise the loss."""

import numpy as np
import pytest
from andon_trainer.augmentation.corruption import KINDS, MIN_CHANGE, corrupt, relative_roughness, training_frame
from andon_trainer.augmentation.variation import Variation, to_float, to_levels

from tests.fixtures.images import good_frame

SHAPES = [(96, 128, 1), (64, 64, 3)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("shape", SHAPES)
def test_each_kind_changes_the_frame_inside_its_region_and_nowhere_else(kind, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(3)
    frame, other = good_frame(shape), good_frame(shape, 1)
    changed_once = False
    for _ in range(20):
        before = frame.copy()
        changed, region = kind(frame, other, rng)
        assert (frame == before).all(), "the good frame itself must stay"
        assert changed.shape == shape
        assert changed.dtype == np.float32
        assert region.shape == shape[:2]
        assert region.min() >= 0
        assert region.max() <= 1 + 1e-6  # a blurred one, to rounding
        difference = np.abs(changed - frame).max(axis=2)
        changed_once |= bool(difference.max() > MIN_CHANGE)
        if kind.__name__ not in ("scratch", "bump"):  # a burr and a pulled texture reach a pixel or two beyond
            assert difference[region == 0].max(initial=0) < 1e-6
    assert changed_once


@pytest.mark.parametrize("shape", SHAPES)
def test_mask_marks_what_visibly_changed(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    marked = 0
    for i in range(200):
        frame = good_frame(shape, i)
        corrupted, mask = corrupt(frame, good_frame(shape, i + 1), rng)
        difference = np.abs(corrupted - frame).max(axis=2)
        assert corrupted.min() >= 0
        assert corrupted.max() <= 1
        if mask.max() > 0:
            marked += 1
            assert difference[mask > 0].max() >= MIN_CHANGE * relative_roughness(frame)
        else:
            assert difference.max() == 0, "what changes the frame must be in the mask"
    assert marked > 150


def test_on_a_smooth_part_fainter_defects_are_shown_than_on_a_rough_one() -> None:
    """What is barely visible depends on the roughness around it."""
    rng = np.random.default_rng(0)
    smooth = np.full((96, 96, 1), 0.5, np.float32) + rng.normal(0, 0.004, (96, 96, 1)).astype(np.float32)
    rough = np.full((96, 96, 1), 0.5, np.float32) + rng.normal(0, 0.05, (96, 96, 1)).astype(np.float32)
    assert relative_roughness(smooth) < 0.5 < 1.5 < relative_roughness(rough)

    def faintest(frame: np.ndarray) -> float:
        changes = [
            np.abs(corrupted - frame).max()
            for corrupted, mask in (corrupt(frame, frame, np.random.default_rng(i)) for i in range(200))
            if mask.max() > 0
        ]
        return float(np.quantile(changes, 0.05))

    assert faintest(smooth) < MIN_CHANGE < faintest(rough)


def test_training_frames_depend_on_the_generator_alone() -> None:
    images = (np.stack([good_frame((64, 64, 1), i) for i in range(4)]) * 255).astype(np.uint8)
    first = [training_frame(images, i % 4, np.random.default_rng(i), Variation()) for i in range(20)]
    again = [training_frame(images, i % 4, np.random.default_rng(i), Variation()) for i in range(20)]
    assert all((a.frame == b.frame).all() and (a.mask == b.mask).all() for a, b in zip(first, again, strict=True))
    untouched = [item for item in first if item.mask.max() == 0]
    assert 3 <= len(untouched) <= 14
    assert all((item.frame == item.clean).all() for item in untouched)


def test_a_worse_camera_is_no_corruption_and_is_not_to_be_rebuilt() -> None:
    images = (np.stack([good_frame((64, 64, 1), i) for i in range(4)]) * 255).astype(np.uint8)
    seen, sharp = (
        [training_frame(images, i % 4, np.random.default_rng(i), Variation(degraded=share)) for i in range(20)]
        for share in (1.0, 0.0)
    )
    for worse, usual in zip(seen, sharp, strict=True):
        assert (worse.clean == usual.clean).all()
        assert (worse.mask == usual.mask).all()
        assert 0 < np.abs(worse.frame - usual.frame).mean() < 0.2


def test_corruptions_are_put_only_where_the_model_looks() -> None:
    masked = np.ones((96, 96), np.bool_)
    masked[20:50, 30:70] = False
    images = np.stack([to_levels(good_frame((96, 96, 1), i)) for i in range(4)])
    marked = 0
    for i in range(40):
        rng = np.random.default_rng(i)
        frame, mask = corrupt(to_float(images[i % 4]), to_float(images[0]), rng, masked)
        assert np.array_equal(frame[masked], to_float(images[i % 4])[masked])
        assert not mask[masked].any()
        marked += bool(mask.any())
    assert marked > 25, "nearly as many as without a mask"
