"""Photographs of one part are found, and parts that only look alike are not taken for them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.near_duplicates import group_near_duplicates, near_duplicates_between
from andon_trainer.data.sample import Sample
from andon_trainer.sample.render import write_sample

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


def moved(image: np.ndarray, pixels: float) -> np.ndarray:
    """A part that lies `pixels` further right and down."""
    height, width = image.shape[:2]
    matrix = np.array([[1, 0, pixels], [0, 1, pixels]], np.float32)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT).reshape(image.shape)


def photographed_again(image: np.ndarray, gain: float = 1.0, gamma: float = 1.0, shift: float = 0.0) -> np.ndarray:
    light = 255 * (moved(image, shift) / 255.0) ** gamma * gain + RNG.normal(0, 2, image.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


AGAIN: tuple[dict[str, float], ...] = (
    {},
    {"gain": 0.9},
    {"gamma": 0.8},
    {"gamma": 1.2},
    {"shift": 1.0},
    {"shift": 2.5},
    {"shift": 5.0},
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("parts") / "part"
    write_sample(folder, seed=3, train=40, test_good=0, test_defects=0, stream=0)
    samples = open_dataset(folder).train
    return load_images(samples, choose_input(samples, side=256))


@pytest.mark.parametrize("again", AGAIN, ids=str)
def test_a_part_photographed_again_is_known_again(parts: np.ndarray, again: dict[str, float]) -> None:
    """By another exposure or gamma, or moved by up to a fiftieth of the frame."""
    images = np.concatenate([parts, [photographed_again(part, **again) for part in parts[:10]]])
    groups = group_near_duplicates(images)
    assert np.mean(groups[:10] == groups[40:]) >= 0.9
    assert len(set(groups[:40])) >= 30, "most of the different parts stay apart"
