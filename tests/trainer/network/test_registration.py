"""Where parts lie: found to a fraction of a pixel, and only where it can be found."""

import cv2
import numpy as np
import pytest
import torch
from andon_trainer.network.registration import Registration, fit_registration, inverse, move, pose_of, warp
from andon_trainer.network.tensors import to_unit

from tests.fixtures.images import PLATE, plate, plates

REST = torch.tensor([1.0, 0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def registration() -> Registration:
    fitted = fit_registration(plates(40), seed=0)
    assert fitted is not None
    return fitted


def difference(frame: np.ndarray, other: np.ndarray) -> float:
    """Root mean square difference in grey levels, of all but the border."""
    inner = (slice(8, -8), slice(8, -8))
    return float(np.sqrt(np.mean((frame[inner].astype(float) - other[inner]) ** 2)))


def test_poses_are_matrices_and_undo_each_other() -> None:
    pose = torch.tensor([[1.1, 0.2, 0.3, -0.1]])
    point = torch.tensor([[0.5, -0.3, 1.0]])
    there = (point @ move(pose)[0])[0]
    assert there.tolist() == pytest.approx([1.1 * 0.5 + 0.2 * 0.3 + 0.3, 0.2 * 0.5 - 1.1 * 0.3 - 0.1])
    back = torch.cat([there, torch.ones(1)]) @ move(inverse(pose))[0]
    assert back.tolist() == pytest.approx([0.5, -0.3], abs=1e-6)
    assert pose_of(move(pose)).tolist() == pose.tolist()


def test_a_warp_takes_each_pixel_from_where_the_pose_says() -> None:
    frame = torch.arange(64.0).reshape(1, 1, 8, 8)
    two_right = torch.tensor([[1.0, 0.0, 2 * 2 / 8, 0.0]])
    assert warp(frame, two_right)[0, 0, :, :6].tolist() == frame[0, 0, :, 2:].tolist()
    quarter = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    assert torch.allclose(warp(frame, quarter)[0, 0], torch.rot90(frame[0, 0]), atol=1e-4)


@pytest.mark.parametrize("light", [1.0, 0.8, 1.2])
@pytest.mark.parametrize(("shift", "degrees"), [((3, -2), 0), ((0, 0), 3), ((-2, 2), -3), ((1, 1), 1)])
def test_a_moved_part_is_laid_onto_the_others(
    registration: Registration, shift: tuple[float, float], degrees: float, light: float
) -> None:
    straight, moved = plate((0, 0), 0, light), plate(shift, degrees, light, seed=1)
    registered = registration.apply_to(np.stack([straight, moved]))
    assert difference(registered[0], registered[1]) < 0.45 * difference(straight, moved)


def test_a_defect_does_not_move_the_part(registration: Registration) -> None:
    good, bad = plate((1, 1), 1), plate((1, 1), 1)
    bad[20:32, 40:55] = 0
    poses = registration(to_unit(torch.from_numpy(np.stack([good, bad]))))
    assert (poses[0] - poses[1]).abs().max() * PLATE[1] / 2 < 0.5  # pixels


def test_what_is_no_such_part_is_left_as_it_is(registration: Registration) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, *PLATE, 1), dtype=np.uint8)
    poses = registration(to_unit(torch.from_numpy(noise)))
    near = ((poses - REST).abs() < 0.15).all(dim=1)
    assert near.all()
    blank = np.full((1, *PLATE, 1), 128, np.uint8)
    assert np.array_equal(registration.apply_to(blank), blank)


def test_textures_and_parts_that_lie_anyhow_are_not_registered() -> None:
    stripes = np.random.default_rng(0).integers(0, 256, (40, PLATE[0], 1, 1), dtype=np.uint8).repeat(PLATE[1], axis=2)
    assert fit_registration(stripes, seed=0) is None
    assert fit_registration(plates(40, shift=30, degrees=180), seed=0) is None
    blank = np.full((40, *PLATE, 1), 128, np.uint8)
    assert fit_registration(blank, seed=0) is None


def test_a_round_part_is_moved_and_not_turned() -> None:
    rng = np.random.default_rng(0)

    def disc(x: float, y: float) -> np.ndarray:
        large = np.full((8 * PLATE[0], 8 * PLATE[1]), 40, np.uint8)
        cv2.circle(large, (int(8 * x), int(8 * y)), 150, 170, -1)
        small = cv2.resize(large, PLATE[::-1], interpolation=cv2.INTER_AREA) + rng.normal(0, 2, PLATE)
        return small.clip(0, 255).round().astype(np.uint8)[..., None]

    discs = np.stack([disc(48 + rng.uniform(-2, 2), 32 + rng.uniform(-2, 2)) for _ in range(40)])
    registration = fit_registration(discs, seed=0)
    assert registration is not None
    pose = registration(to_unit(torch.from_numpy(disc(51, 32)[None])))[0]
    assert float(pose[2]) * PLATE[1] / 2 == pytest.approx(3, abs=0.3)
    assert abs(float(pose[1])) < 0.05
