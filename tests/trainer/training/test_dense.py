"""The dense family: it beats PCA, each kind is what it says, and its file is a model like any other."""

from pathlib import Path

import numpy as np
import pytest
import torch
from andon_monitor.errors import UsageError
from andon_monitor.model.autoencoder import Autoencoder
from andon_trainer.architecture import DenseArchitecture, parse_layers
from andon_trainer.data.splits import Split
from andon_trainer.network.dense import DenseAutoencoder
from andon_trainer.network.tensors import to_unit
from andon_trainer.options import TrainingOptions
from andon_trainer.training.dense import train_dense_network
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from tests.fixtures.commands import run_command

DIGITS = (load_digits().images * (255 / 16)).round().astype(np.uint8)[..., None]
PARTS = Split(np.arange(1200), np.arange(1200, 1500), np.arange(1500, 1797), np.arange(1797))
TEST = DIGITS[PARTS.calibration]


def fitted(
    iterations: int = 400, seed: int = 0, layers: str = "64-128-64-8-64-128-64", **changes: object
) -> DenseAutoencoder:
    arch = DenseArchitecture(8, 8, 1, parse_layers(layers), **changes)
    options = TrainingOptions(iterations=iterations, batch=256, learning_rate=2e-3, seed=seed)
    network = train_dense_network(DIGITS, PARTS, arch, options).network
    assert isinstance(network, DenseAutoencoder)
    return network


@torch.no_grad()
def error(network: DenseAutoencoder, seen: torch.Tensor | None = None) -> float:
    clean = to_unit(torch.from_numpy(TEST))
    return float((network.decode(network.encode(clean if seen is None else seen)) - clean).square().mean())


@pytest.fixture(scope="module")
def plain() -> DenseAutoencoder:
    return fitted()


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_held_out_digits_are_rebuilt_better_than_by_as_many_components(loss: str) -> None:
    rows = DIGITS.reshape(len(DIGITS), -1) / 255
    pca = PCA(8).fit(rows[PARTS.train])
    test = rows[PARTS.calibration]
    linear = float(np.square(pca.inverse_transform(pca.transform(test)) - test).mean())
    assert error(fitted(1000, loss=loss)) < 0.9 * linear


def test_a_denoising_one_takes_more_noise_away() -> None:
    torch.manual_seed(0)
    clean = to_unit(torch.from_numpy(TEST))
    noisy = (clean + 0.2 * torch.randn(clean.shape)).clamp(0, 1)
    wide = {"layers": "64-256-40-256-64"}
    assert error(fitted(kind="denoising", **wide), noisy) < 0.9 * error(fitted(**wide), noisy)


def test_a_sparse_one_has_smaller_codes(plain: DenseAutoencoder) -> None:
    clean = to_unit(torch.from_numpy(TEST))
    sizes = [float(network.encode(clean).abs().mean().detach()) for network in (fitted(kind="sparse"), plain)]
    assert sizes[0] < 0.8 * sizes[1]


def test_codes_of_a_variational_one_are_about_standard_normal() -> None:
    network = fitted(800, kind="variational", loss="bce")
    codes = network.encoder(to_unit(torch.from_numpy(TEST)).flatten(1)).detach()
    mean, variance = codes[:, :8], codes[:, 8:].exp()
    whole = mean.var(dim=0) + variance.mean(dim=0)  # of the mixture over all digits
    assert whole.numpy() == pytest.approx(1, abs=0.4)
    assert mean.mean(dim=0).abs().max() < 0.5


def test_one_seed_gives_one_network() -> None:
    first, second, other = (fitted(20, seed).decoder[0].weight for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_layers_are_read_from_pixels_to_pixels() -> None:
    assert parse_layers("784-128-32-128-784") == (784, 128, 32, 128, 784)
    for wrong in ("784", "784-32", "784-32-32-784", "784-x-784", "784-128-700", "16-64-16"):
        with pytest.raises(UsageError, match=f"--layers {wrong}: give the sizes"):
            parse_layers(wrong)


def test_it_is_exported_and_runs_in_the_monitor(tmp_path: Path) -> None:
    """A variational one, as its encoder gives more than the latent vector."""
    np.save(tmp_path / "digits.npy", DIGITS[:600])
    model = tmp_path / "digits.onnx"
    options = ("--layers", "64-128-16-128-64", "--kind", "variational", "--loss", "bce", "--iterations", "300")
    done = run_command(
        "andon-trainer", "fit", tmp_path / "digits.npy", "-o", model, "--architecture", "dense", *options
    )
    assert done.returncode == 0, done.stderr
    part = Autoencoder.load(model, "cpu")
    described = {name: part.card.architecture[name] for name in ("name", "kind", "loss", "layers")}
    assert described == {"name": "dense", "kind": "variational", "loss": "bce", "layers": "64-128-16-128-64"}
    assert part.latent_size == 16
    assert np.array_equal(part.reconstruct(TEST[:5]), part.model.explain(TEST[:5]).reconstruction)
    assert part.score(255 - TEST[:50]).min() > part.card.threshold > np.median(part.score(TEST))


def test_options_of_the_other_architecture_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", DIGITS[:20])
    for options, message in (
        (("--kind", "sparse"), "--kind sparse: only with --architecture dense"),
        (("--architecture", "dense", "--loss", "l1-ssim"), "--loss l1-ssim: choose mse, bce"),
    ):
        done = run_command("andon-trainer", "fit", tmp_path / "d.npy", "-o", tmp_path / "m.onnx", *options)
        assert done.returncode == 2
        assert message in done.stderr
