"""The resolution that the images choose."""

from pathlib import Path

import cv2
import numpy as np

from monitor.card import InputSpec
from trainer import dataset
from trainer.dataset import open_dataset
from trainer.resolution import PART_SIDE, TEXTURE_SIDE, load_at_best_size


def chosen_for(folder: Path) -> tuple[InputSpec, tuple[int, ...]]:
    samples = open_dataset(folder).train
    spec, images, groups = load_at_best_size(
        samples, lambda side: dataset.choose_input(samples, side), 0, lambda what, done, of: None
    )
    assert len(groups) == len(samples)
    return spec, images.shape


def test_textures_are_looked_at_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(24):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (300, 300), dtype=np.uint8))
    spec, shape = chosen_for(tmp_path)
    assert (spec.height, spec.width) == (TEXTURE_SIDE, TEXTURE_SIDE)
    assert shape == (24, TEXTURE_SIDE, TEXTURE_SIDE, 1)


def test_parts_with_a_left_and_a_right_are_looked_at_large(sample_folder: Path) -> None:
    spec, shape = chosen_for(sample_folder)
    assert spec.height * spec.width > 0.8 * PART_SIDE**2
    assert shape[1:] == (spec.height, spec.width, spec.channels)
