"""Fixed filters: what they answer to, and where."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from andon_trainer.network.tensors import normalise
from andon_trainer.scoring.patch_memory import PatchMemory
from andon_trainer.scoring.scale import SCALES
from andon_trainer.scoring.texture import TextureFeatures, edges_and_ridges


def stripes(direction: tuple[float, float], period: float = 6.0) -> torch.Tensor:
    """A frame [1, 1, 64, 64] whose brightness changes along (rows, columns) only."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    along = (direction[0] * rows + direction[1] * columns) / np.hypot(*direction)
    return torch.sin(2 * np.pi * along / period)[None, None]


def test_filters_say_nothing_of_what_is_even() -> None:
    assert edges_and_ridges().sum(dim=(1, 2, 3)).abs().max() < 1e-6


@pytest.mark.parametrize(("strongest", "direction"), list(enumerate([(0, 1), (1, 0), (1, 1), (1, -1)])))
def test_each_direction_is_told_apart(strongest: int, direction: tuple[int, int]) -> None:
    answers = TextureFeatures(texture=True)(normalise(stripes(direction))[0])[0].mean(dim=(1, 2))
    assert answers[:4].argmax() == strongest, "edges"
    assert answers[4:8].argmax() == strongest, "ridges"


@pytest.mark.parametrize(("channels", "pooling"), [(1, 1), (3, 1), (1, 2)])
def test_shape_and_a_texture_s_own_mean(channels: int, pooling: int) -> None:
    x = torch.randn(2, channels, 64 * pooling, 96 * pooling, generator=torch.Generator().manual_seed(0))
    answers = TextureFeatures(texture=True, pooling=pooling)(x)
    count = 8 * (SCALES + pooling - 1) + channels
    assert answers.shape == (2, 2 * count, 8, 12)
    here, overall = answers[:, :count], answers[:, count:]
    assert torch.allclose(overall, here.mean(dim=(2, 3), keepdim=True).expand_as(here), atol=1e-5)
    of_a_part = TextureFeatures(texture=False, pooling=pooling)(x)
    assert torch.allclose(
        of_a_part, torch.cat([(here - overall)[:, :-channels], here[:, -channels:]], dim=1), atol=1e-5
    )


def test_a_line_across_the_grain_is_new_to_a_memory_where_it_is() -> None:
    rng = np.random.default_rng(0)

    def ground(count: int) -> torch.Tensor:  # stripes of many widths, all along the rows
        return torch.from_numpy(
            rng.normal(size=(count, 1, 1, 64)).repeat(64, axis=2) + rng.normal(0, 0.2, (count, 1, 64, 64))
        ).float()

    features = TextureFeatures(texture=True)
    memory = PatchMemory.fit(features(ground(60)), seed=0)
    frame = ground(1)
    scratched = frame.clone()
    scratched[:, :, 36, 8:40] += 3
    with torch.no_grad():
        before, after = memory(features(frame))[0, 0], memory(features(scratched))[0, 0]
    assert (after - before).argmax() // 8 == 4, "in the row of cells that the scratch runs through"
    assert after.max() > before.max() + 1


@pytest.mark.parametrize("camera", ["noisier", "out of focus"])
def test_another_camera_makes_no_place_of_a_part_new(camera: str) -> None:
    """It changes every place alike, and a mark still stands out."""
    generator = torch.Generator().manual_seed(0)
    shape = torch.sin(torch.arange(64) / 5)[:, None] * torch.sin(torch.arange(64) / 7)  # of all parts

    def parts(noise: float) -> torch.Tensor:
        return shape + noise * torch.randn(60, 1, 64, 64, generator=generator)

    def another(frames: torch.Tensor) -> torch.Tensor:
        if camera == "noisier":
            return frames + 0.2 * torch.randn(frames.shape, generator=generator)
        return F.conv2d(
            F.pad(frames, (1, 1, 1, 1), mode="reflect"), torch.tensor([[[[0.1] * 3, [0.1, 0.2, 0.1], [0.1] * 3]]])
        )

    marked = parts(0.2)[:1]
    marked[:, :, 32:40, 32:40] += torch.linspace(0, 3, 8)
    times_as_new = {}
    for texture in (False, True):
        features = TextureFeatures(texture)
        memory = PatchMemory.fit(features(parts(0.2)), seed=0)
        with torch.no_grad():
            before, after = (float(memory(features(x)).mean()) for x in (parts(0.2), another(parts(0.2))))
            places = memory(features(another(marked)))[0, 0]
        assert places.argmax() == 4 * 8 + 4
        times_as_new[texture] = after / before
    assert times_as_new[False] < 1.5 < times_as_new[True]
