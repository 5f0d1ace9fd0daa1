"""What the encoder is shown of good parts: which mirrored and turned ones are good, and how many there are."""

import cv2
import numpy as np
import pytest
import torch
from andon_trainer.network.encoder import BUILT_IN, load_encoder
from andon_trainer.network.tensors import evenly, to_unit
from andon_trainer.scoring.encoding import Encode, Symmetry, find_symmetries, possible_symmetries, varied

SIDE = 64
TURNED = {Symmetry(), Symmetry(flipped=True, mirrored=True), Symmetry(True, True), Symmetry(True, mirrored=True)}


@pytest.fixture(scope="module")
def encode() -> Encode:
    encoder = load_encoder(BUILT_IN)
    assert encoder is not None
    run = encoder.in_runtime()
    return lambda frames: run(to_unit(torch.from_numpy(frames)))


def hooks(count: int, angles: float) -> np.ndarray:
    """Frames with a hook, which is another one when mirrored, turned by up to so many degrees."""
    rng = np.random.default_rng(0)
    frame = np.full((SIDE, SIDE), 40, np.uint8)
    cv2.line(frame, (32, 8), (32, 56), 200, 6)
    cv2.line(frame, (32, 8), (54, 20), 255, 6)
    cv2.circle(frame, (20, 44), 6, 140, -1)
    turns = [cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-angles, angles), 1) for _ in range(count)]
    turned = [cv2.warpAffine(frame, turn, (SIDE, SIDE), borderValue=40) for turn in turns]
    noise = rng.normal(0, 4, (count, SIDE, SIDE))
    return np.clip(np.stack(turned) + noise, 0, 255).astype(np.uint8)[..., None]


def specks(count: int) -> np.ndarray:
    """Frames of a texture that has no top and no left."""
    rng = np.random.default_rng(0)
    frames = [cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE)), (0, 0), 1.5) for _ in range(count)]
    return np.clip(128 + 120 * np.stack(frames), 0, 255).astype(np.uint8)[..., None]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param(hooks(40, 2), {Symmetry()}, id="aligned"),
        pytest.param(hooks(60, 180), TURNED, id="at any angle"),
        pytest.param(specks(40), set(possible_symmetries(specks(1))), id="texture"),
    ],
)
def test_what_good_parts_are_mirrored_and_turned(encode: Encode, frames: np.ndarray, expected: set[Symmetry]) -> None:
    found = find_symmetries(frames, encode, seed=0)
    assert set(found) == expected
    assert found[0] == Symmetry()


def test_frames_that_are_not_square_are_not_turned_by_a_right_angle() -> None:
    assert len(possible_symmetries(np.zeros((1, 64, 64, 1), np.uint8))) == 8
    assert len(possible_symmetries(np.zeros((1, 64, 96, 1), np.uint8))) == 4


def test_a_symmetry_moves_the_corners() -> None:
    frame = np.array([[1, 2], [3, 4]], np.uint8)[None, :, :, None]
    assert Symmetry(mirrored=True).of(frame).ravel().tolist() == [2, 1, 4, 3]
    assert Symmetry(flipped=True).of(frame).ravel().tolist() == [3, 4, 1, 2]
    assert Symmetry(transposed=True).of(frame).ravel().tolist() == [1, 3, 2, 4]


@pytest.mark.parametrize(("given", "chosen", "expected"), [(3, 3, 24), (400, 100, 800)])
def test_good_frames_come_first_and_then_copies_in_every_symmetry(given: int, chosen: int, expected: int) -> None:
    frames = specks(given)
    symmetries = possible_symmetries(frames)
    copies = varied(frames, symmetries, seed=0)
    assert copies.shape == (expected, SIDE, SIDE, 1)
    assert np.array_equal(copies[:chosen], evenly(frames, chosen))
    assert np.array_equal(copies, varied(frames, symmetries, seed=0))
    for number, symmetry in enumerate(symmetries[1:], 1):
        turned = symmetry.of(copies[:chosen]).astype(int)
        apart = [np.abs(copies[i * chosen : (i + 1) * chosen] - turned).mean() for i in range(len(symmetries))]
        assert 0 < apart[number] == min(apart), "lit and moved a little"
