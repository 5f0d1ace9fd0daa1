"""Photographs of one part are found, and parts that only look alike are not taken for them."""

from pathlib import Path

import cv2
import numpy as np
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.near_duplicates import group_near_duplicates, near_duplicates_between
from andon_trainer.data.sample import Sample

from tests.fixtures.images import textures

RNG = np.random.default_rng(0)


def bursts(parts: int, shots: int) -> np.ndarray:
    """`shots` photographs of each of `parts` parts at different exposures: uint8 [parts * shots, 64, 64, 1]."""
    images = []
    for _ in range(parts):
        texture = cv2.resize(RNG.random((9, 9)).astype(np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)
        for _ in range(shots):
            exposed = texture * RNG.uniform(80, 180) + RNG.uniform(0, 40) + RNG.normal(0, 2, texture.shape)
            images.append(np.clip(exposed, 0, 255).astype(np.uint8)[:, :, None])
    return np.stack(images)


def test_exposures_of_one_part_are_twins() -> None:
    groups = group_near_duplicates(bursts(parts=30, shots=3))
    assert [len(set(groups[i : i + 3])) for i in range(0, 90, 3)] == [1] * 30
    assert len(set(groups)) == 30


def test_aligned_parts_are_not_all_twins_of_each_other(sample_folder: Path) -> None:
    found = open_dataset(sample_folder).train
    images = load_images(found, choose_input(found, side=96))
    assert np.bincount(group_near_duplicates(images)).max() <= len(images) / 5


def test_test_images_whose_twins_are_learned_from_are_found() -> None:
    images, tested = textures(40, RNG), textures(10, RNG)
    tested[3] = np.clip(images[7].astype(int) * 0.8 + RNG.normal(0, 2, images[7].shape), 0, 255).astype(np.uint8)
    tested[8] = images[30]
    found = near_duplicates_between(images, [Sample(Path(f"{i:03d}.png"), "good") for i in range(10)], tested)
    assert [sample.path.name for sample in found] == ["003.png", "008.png"]
