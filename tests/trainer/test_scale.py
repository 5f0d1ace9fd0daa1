"""What good parts read: roughness told apart from defects, and a scale that one bad frame does not move."""

import pytest
import torch

from trainer.scale import SCALES, Scale, Surface, roughness

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


def test_a_scale_learns_what_roughness_adds() -> None:
    rough = noise(200, SCALES)
    values = 5 + rough @ torch.tensor([2.0, 0.0, -1.0, 0.0]) + 0.1 * noise(200)
    scale = Scale.of([values], rough)
    errors = scale.deviations(values[:, None, None, None], rough).flatten()
    assert values.std() > 2
    assert scale.std < 0.4
    assert errors.mean() == pytest.approx(0, abs=0.1)
    assert errors.std() == pytest.approx(1, rel=0.05)


def test_ten_frames_are_not_believed() -> None:
    rough = noise(10, SCALES)
    scale = Scale.of([rough[:, 0]], rough)
    assert scale.slopes.abs().max() < 0.5


def test_a_defect_among_the_good_does_not_move_the_scale() -> None:
    rough, values = noise(60, SCALES), noise(60)
    clean = Scale.of([values], rough)
    spoiled = Scale.of([torch.cat([values, torch.tensor([500.0])])], torch.cat([rough, torch.full((1, SCALES), 2.0)]))
    assert spoiled.mean == pytest.approx(clean.mean, abs=0.15)
    assert spoiled.std == pytest.approx(clean.std, rel=0.15)
    assert (spoiled.slopes - clean.slopes).abs().max() < 0.2


def test_what_is_rougher_than_all_good_parts_gains_nothing_by_it() -> None:
    surface = Surface.of(noise(50, SCALES))
    assert torch.equal(surface(torch.full((1, SCALES), 50.0)), surface(surface.high[None]))
    assert torch.equal(surface(torch.full((1, SCALES), -50.0)), surface(surface.low[None]))


def test_values_that_do_not_vary_have_a_spread_all_the_same() -> None:
    same = Scale.of([torch.full((6,), 3.0)], torch.zeros(6, SCALES))
    assert same.mean == pytest.approx(3)
    assert same.std > 0
