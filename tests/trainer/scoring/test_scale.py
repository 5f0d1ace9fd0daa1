"""What good parts read: roughness is no defect, and a scale that one bad frame does not move."""

import pytest
import torch
from andon_trainer.scoring.scale import MIN_EXPECTED_SHARE, SCALES, Expectation, Scale, Surface, roughness

GENERATOR = torch.Generator().manual_seed(0)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR)


def test_roughness_is_of_the_surface_and_hardly_of_a_defect_on_it() -> None:
    smooth, rough = 0.1 * noise(1, 1, 128, 128), noise(1, 1, 128, 128)
    scratched = smooth.clone()
    scratched[..., 40:42, 20:100] = 8.0
    apart = roughness(rough) - roughness(smooth)
    assert (apart > 1).all()
    assert ((roughness(scratched) - roughness(smooth)).abs() < 0.25 * apart).all()


def test_each_scale_tells_its_own_roughness() -> None:
    coarse = torch.nn.functional.interpolate(noise(1, 1, 16, 16), scale_factor=8.0, mode="bilinear")
    fine = noise(1, 1, 128, 128)
    values = roughness(torch.cat([coarse, fine]))
    assert (values[0].diff() > 0).all(), "what is smooth at once is rough from further away"
    assert (values[1].diff() < 0).all(), "noise averages out"


def test_what_roughness_adds_is_expected() -> None:
    rough = noise(200, SCALES)
    tops = 15 + rough @ torch.tensor([2.0, 0.0, -1.0, 0.0]) + 0.1 * noise(200)
    expectation = Expectation.of(torch.full((200,), 5.0), tops, rough)
    multiples = expectation.relative(tops[:, None, None, None], rough).flatten()
    usual = 5 + expectation.mean + rough @ expectation.slopes < 5 + expectation.highest
    assert usual.float().mean() == pytest.approx(0.75, abs=0.01)
    assert tops.std() > 2
    assert multiples[usual].mean() == pytest.approx(1, abs=0.02)
    assert multiples[usual].std() < 0.05
    assert multiples[~usual].min() > 0.95, "no more is expected of the roughest quarter, which scores higher"
    assert multiples[~usual].mean() > 1.05
    assert expectation.relative(torch.full((200, 1, 1, 1), 5.0), rough).abs().max() == 0, "the background stays there"


def test_ten_frames_are_not_believed() -> None:
    rough = noise(10, SCALES)
    assert Expectation.of(torch.zeros(10), 10 + rough[:, 0], rough).slopes.abs().max() < 0.5


def test_a_defect_among_the_good_moves_neither_expectation_nor_scale() -> None:
    rough, tops = noise(60, SCALES), 10 + noise(60)
    worse, rougher = torch.cat([tops, torch.tensor([500.0])]), torch.cat([rough, torch.full((1, SCALES), 2.0)])
    clean, spoiled = Expectation.of(torch.zeros(60), tops, rough), Expectation.of(torch.zeros(61), worse, rougher)
    assert spoiled.mean == pytest.approx(clean.mean, abs=0.15)
    assert (spoiled.slopes - clean.slopes).abs().max() < 0.2
    assert Scale.of(worse).std == pytest.approx(Scale.of(tops).std, rel=0.15)


def test_no_part_is_so_smooth_that_nothing_is_expected_of_it() -> None:
    rough = noise(100, SCALES)
    expectation = Expectation.of(torch.zeros(100), 10 + 4 * rough[:, 0], rough)
    smooth = torch.tensor([[-20.0, 0, 0, 0]])
    assert expectation.relative(torch.ones(1, 1, 1, 1), smooth).item() == pytest.approx(
        1 / (MIN_EXPECTED_SHARE * expectation.mean)
    )


def test_what_is_rougher_than_all_good_parts_gains_nothing_by_it() -> None:
    surface = Surface.of(noise(50, SCALES))
    assert torch.equal(surface(torch.full((1, SCALES), 50.0)), surface(surface.high[None]))
    assert torch.equal(surface(torch.full((1, SCALES), -50.0)), surface(surface.low[None]))


def test_values_that_do_not_vary_have_a_spread_all_the_same() -> None:
    same = torch.full((6,), 3.0)
    assert Scale.of(same).std > 0
    assert torch.isfinite(
        Expectation.of(same, same, torch.zeros(6, SCALES)).relative(same[:, None, None, None], torch.zeros(6, SCALES))
    ).all()
