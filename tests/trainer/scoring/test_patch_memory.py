"""The patch memory: distances to what good parts' features look like."""

import torch
from andon_trainer.scoring.patch_memory import PatchMemory, cluster_means


def test_memory_distance_is_the_distance_to_the_nearest_patch_after_whitening() -> None:
    features = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [1.0, 2, 3, 4]
    ).reshape(1, 4, 1, 1)
    memory = PatchMemory.fit(features, seed=0)
    query = torch.randn(1, 4, 8, 8) * 3
    white = memory.whiten(query)[:, :-1].permute(0, 2, 3, 1).reshape(-1, 4)
    patches = memory.compare.weight[:, :-1] / -2
    expected = (torch.cdist(white, patches).min(dim=1).values ** 2 + 1).sqrt().reshape(1, 1, 8, 8)
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(expected, (1, 1, 1, 1), mode="replicate"), memory.blur
    )
    assert torch.allclose(memory(query), expected, atol=1e-4)
    flat = memory.whiten(features)[:, :-1].permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(torch.cov(flat), torch.eye(4), atol=0.02)


def test_means_are_those_of_the_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    points = centres.repeat(200, 1) + torch.randn(600, 2, generator=generator)
    means = cluster_means(points, 3)
    expected = torch.stack([points[i::3].mean(dim=0) for i in range(3)])
    assert torch.allclose(means, expected, atol=1e-4)


def test_few_points_are_all_kept_and_equal_ones_are_no_trouble() -> None:
    few = torch.randn(5, 3)
    assert torch.equal(cluster_means(few, 8), few)
    assert torch.equal(cluster_means(torch.ones(20, 3), 5), torch.ones(5, 3))
