"""The linear half: it is PCA, and its differences are in deviations of unseen good frames."""

import numpy as np
import pytest
import torch
from andon_trainer.architecture import Architecture
from andon_trainer.augmentation.variation import Variation
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.network import linear as module
from andon_trainer.network.linear import MAX_DEVIATIONS, LinearAutoencoder, fit_linear, principal_components
from andon_trainer.network.tensors import normalise, to_unit
from sklearn.decomposition import PCA


@pytest.fixture(scope="module")
def images(sample_folder) -> np.ndarray:
    found = open_dataset(sample_folder).train
    return load_images(found, choose_input(found, side=64))


@pytest.fixture(scope="module")
def fitted(images: np.ndarray) -> LinearAutoencoder:
    return fit_linear(images[:24], np.arange(24), Architecture(64, 64, 1, components=16), seed=0)[0]


def test_components_are_those_of_scikit_learn() -> None:
    torch.manual_seed(0)
    rows = torch.randn(300, 40) * torch.linspace(5, 0.1, 40)
    mean, components, scale = principal_components(rows, 6)
    reference = PCA(6).fit(rows.numpy())
    assert np.allclose(mean.numpy(), reference.mean_, atol=1e-5)
    cosines = np.abs((components.numpy() * reference.components_).sum(axis=1))
    assert cosines == pytest.approx(1, abs=1e-3)
    assert scale.numpy() == pytest.approx(reference.singular_values_ / 300**0.5, rel=1e-3)


def test_unseen_good_frames_differ_by_about_one_deviation(fitted: LinearAutoencoder, images: np.ndarray) -> None:
    _, _, difference = fitted(normalise(to_unit(torch.from_numpy(images[24:])))[0])
    assert 0.3 < difference.square().mean().sqrt() < 1.5


def test_a_defect_stands_out_of_the_difference_and_is_not_rebuilt(
    fitted: LinearAutoencoder, images: np.ndarray
) -> None:
    defective = images[24:25].copy()
    defective[0, 30:36, 30:36] = 255 - defective[0, 30:36, 30:36]
    _, _, difference = fitted(normalise(to_unit(torch.from_numpy(defective)))[0])
    hottest = np.unravel_index(int(difference.abs()[0, 0].argmax()), (32, 32))
    assert 14 <= hottest[0] <= 18
    assert 14 <= hottest[1] <= 18
    assert difference.abs().max() <= MAX_DEVIATIONS


def test_reconstruction_is_within_the_span_of_the_components(fitted: LinearAutoencoder, images: np.ndarray) -> None:
    x = normalise(to_unit(torch.from_numpy(images[24:28])))[0]
    code, rebuilt, _ = fitted(x)
    expected = (code * fitted.scale) @ fitted.components + fitted.mean
    assert torch.allclose(rebuilt.flatten(1), expected, atol=1e-4)


def test_cross_fit_rebuilds_each_image_by_components_of_other_groups(images: np.ndarray) -> None:
    groups = np.arange(24) // 2  # pairs of twins
    _, cross_fit = fit_linear(images[:24], groups, Architecture(64, 64, 1, components=16), seed=0)
    assert (cross_fit.fold_of[::2] == cross_fit.fold_of[1::2]).all()
    assert set(cross_fit.fold_of) == {0, 1, 2, 3}
    x = normalise(to_unit(torch.from_numpy(images[:24])))[0]
    unseen = cross_fit(x, range(24)).difference
    seen = torch.cat(
        [cross_fit.folds[(fold + 1) % 4](x[i : i + 1]).difference for i, fold in enumerate(cross_fit.fold_of)]
    )
    assert unseen.square().mean() > 1.1 * seen.square().mean()


def test_one_seed_gives_one_fit(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAMES_PER_FOLD", 50)

    def components(seed: int) -> torch.Tensor:
        return fit_linear(images[:10], np.arange(10), Architecture(64, 64, 1, components=8), seed)[0].components

    assert torch.equal(components(1), components(1))
    assert not torch.equal(components(1), components(2))


def test_textures_that_look_the_same_in_a_mirror_are_shown_mirrored() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (24, 64, 64, 1), dtype=np.uint8)
    ramp = np.linspace(0, 120, 64, dtype=np.uint8)[None, :, None, None]  # brighter at the bottom
    arch = Architecture(64, 64, 1, components=8)
    assert variation_of(noise, arch) == Variation(mirrored=True, flipped=True)
    assert variation_of(noise // 4 + ramp, arch) == Variation(mirrored=True, flipped=False)


def test_aligned_parts_are_not_shown_mirrored(images: np.ndarray) -> None:
    variation = variation_of(images[:24], Architecture(64, 64, 1, components=16))
    assert (variation.mirrored, variation.flipped) == (False, False)


def variation_of(images: np.ndarray, arch: Architecture) -> Variation:
    return fit_linear(images, np.arange(len(images)), arch, seed=0)[1].variation
