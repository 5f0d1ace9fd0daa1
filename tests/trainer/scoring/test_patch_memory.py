"""The patch memory: distances to what good parts' features look like."""

import torch
from andon_trainer.scoring.patch_memory import PatchMemory, farthest_points


def test_memory_distance_is_the_distance_to_the_nearest_patch_after_whitening() -> None:
    features = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 2, 3, 4]
    ).reshape(1, 4, 1, 1)
    memory = PatchMemory.fit(features, seed=0)
    query = torch.randn(1, 4, 8, 8) * 3
    white = memory.whiten(query).permute(0, 2, 3, 1).reshape(-1, 4)
    patches = memory.compare.weight / -2
    expected = (torch.cdist(white, patches).min(dim=1).values ** 2 + 1).sqrt().reshape(1, 1, 8, 8)
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(expected, (1, 1, 1, 1), mode="replicate"), memory.blur
    )
    assert torch.allclose(memory(query), expected, atol=1e-4)
    flat = memory.whiten(features).permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(torch.cov(flat), torch.eye(4), atol=0.02)


def test_farthest_points_spread_out() -> None:
    cluster = torch.randn(500, 2) * 0.01
    outliers = torch.tensor([[5.0, 0.0], [0.0, 5.0], [-5.0, 0.0]])
    chosen = farthest_points(torch.cat([cluster, outliers]), 4)
    assert {tuple(point.tolist()) for point in outliers} <= {tuple(point.tolist()) for point in chosen}


def test_the_farthest_points_are_those_of_one_choice_after_the_other() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3000, 6, generator=generator) * torch.randn(3000, 1, generator=generator).exp()
    distances = torch.cdist(points.double(), points.double())
    expected, nearest = [0], distances[0]
    while len(expected) < 700:
        expected.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, distances[expected[-1]])
    assert torch.equal(farthest_points(points, 700), points[expected])


def test_of_points_that_are_all_the_same_as_many_are_chosen() -> None:
    assert torch.equal(farthest_points(torch.ones(20, 3), 5), torch.ones(5, 3))
