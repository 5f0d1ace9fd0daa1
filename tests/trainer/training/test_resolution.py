"""The resolution that the images choose."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.model.card import InputSpec
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import ImageCache
from andon_trainer.data.input import choose_input
from andon_trainer.progress import quiet
from andon_trainer.training.resolution import (
    MIN_STEPS_AT_LARGEST,
    PART_SIDES,
    TEXTURE_POOLING,
    TEXTURE_SIDE,
    load_at_best_size,
)


def chosen_for(folder: Path, steps: float = 0) -> tuple[InputSpec, int, tuple[int, ...]]:
    samples, files = open_dataset(folder).train, ImageCache()
    spec, pooling, images, groups = load_at_best_size(
        samples,
        files,
        lambda side: choose_input(samples, side, files=files),
        lambda spec: steps,
        0,
        quiet,
    )
    assert len(groups) == len(samples)
    return spec, pooling, images.shape


@pytest.mark.parametrize(("pixels", "pooling"), [(300, TEXTURE_POOLING), (150, 1)])
def test_textures_are_learned_small_and_their_features_computed_as_large_as_they_are(
    tmp_path: Path, pixels: int, pooling: int
) -> None:
    rng = np.random.default_rng(0)
    for i in range(24):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (pixels, pixels), dtype=np.uint8))
    spec, chosen, shape = chosen_for(tmp_path)
    assert chosen == pooling
    assert (spec.height, spec.width) == (pooling * TEXTURE_SIDE, pooling * TEXTURE_SIDE)
    assert shape == (24, spec.height, spec.width, 1)


@pytest.mark.parametrize(
    ("steps", "side"), [(MIN_STEPS_AT_LARGEST, max(PART_SIDES)), (MIN_STEPS_AT_LARGEST - 1, min(PART_SIDES))]
)
def test_parts_with_a_left_and_a_right_are_learned_as_large_as_time_allows(
    sample_folder: Path, steps: float, side: int
) -> None:
    spec, pooling, shape = chosen_for(sample_folder, steps)
    assert pooling == 1
    assert spec.height * spec.width == pytest.approx(side**2, rel=0.2)
    assert shape[1:] == (spec.height, spec.width, spec.channels)
