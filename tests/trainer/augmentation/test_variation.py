"""Good frames otherwise than they were: what may change, and what may not."""

import numpy as np
import pytest
from andon_monitor.model.imaging import sharpness
from andon_trainer.augmentation.variation import Variation, degrade, vary

from tests.fixtures.images import good_frame


def test_a_good_part_may_move_and_be_lit_otherwise_but_stays_itself() -> None:
    rng = np.random.default_rng(0)
    frame = good_frame((96, 128, 1))
    varied = [vary(frame, rng) for _ in range(50)]
    assert all(image.shape == frame.shape and image.dtype == np.float32 for image in varied)
    assert min(np.corrcoef(image.ravel(), frame.ravel())[0, 1] for image in varied) > 0.7
    assert np.std([image.mean() for image in varied]) > 0.01


def test_parts_that_may_lie_either_way_are_shown_in_all_four() -> None:
    frame = np.zeros((64, 64, 1), np.float32)
    frame[:16, :16] = 1  # one bright corner
    rng = np.random.default_rng(0)
    seen = [vary(frame, rng, Variation(mirrored=True, flipped=True)) for _ in range(40)]
    corners = {(bool(f[:32].sum() > f[32:].sum()), bool(f[:, :32].sum() > f[:, 32:].sum())) for f in seen}
    assert len(corners) == 4


@pytest.mark.parametrize("shape", [(96, 128, 1), (64, 64, 3)])
def test_a_worse_camera_softens_roughens_or_lights_a_frame_and_leaves_its_picture(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    frame = (good_frame(shape) * 255).astype(np.uint8)
    seen = [degrade(frame, rng) for _ in range(60)]
    assert all(image.shape == frame.shape and image.dtype == np.uint8 for image in seen)
    assert min(np.corrcoef(image.ravel(), frame.ravel())[0, 1] for image in seen) > 0.9
    changes = np.array([sharpness(image) / sharpness(frame) for image in seen])
    assert (changes < 0.9).sum() >= 10, "less sharp"
    assert (changes > 1.1).sum() >= 5, "noisier"
    brightness = np.array([image.mean() / frame.mean() for image in seen])
    assert (brightness < 0.95).sum() >= 3, "too dark"
    assert (brightness > 1.05).sum() >= 3, "too bright"
