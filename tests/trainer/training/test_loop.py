"""The training loop: it learns, it ends as it says, and one seed gives one network."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from andon_trainer.architecture import LOSSES, Architecture, Loss
from andon_trainer.augmentation.variation import Variation
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.input import choose_input
from andon_trainer.data.splits import Split
from andon_trainer.errors import FittingError
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.tensors import normalise, to_unit
from andon_trainer.options import TrainingOptions
from andon_trainer.training import loop, schedule
from andon_trainer.training.loop import batch_stream, losses, prefetch, train_network

ARCH = Architecture(64, 64, 1)
SPLIT = Split(np.arange(0, 24), np.arange(24, 32), np.arange(24, 32), groups=np.arange(32))


@pytest.fixture(scope="module")
def images(sample_folder) -> np.ndarray:
    found = open_dataset(sample_folder).train
    return load_images(found, choose_input(found, side=64))


def test_training_lowers_the_loss_on_images_it_never_sees(images: np.ndarray) -> None:
    trained = train_network(images, SPLIT, ARCH, TrainingOptions(iterations=60, batch=8))
    assert trained.ended in ("iterations", "early")
    losses = [step.validation_loss for step in trained.evaluations]
    assert min(losses) < 0.75 * losses[0]
    assert not trained.network.training


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_of_rebuilding_teaches_a_network_to_rebuild(images: np.ndarray, loss: Loss) -> None:
    torch.manual_seed(0)
    network = Autoencoder(replace(ARCH, components=0, loss=loss))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    x = normalise(to_unit(torch.from_numpy(images[:8])))[0]
    seen = []
    for _ in range(20):
        rebuilding = losses(network, x, None, x, torch.zeros_like(x))[1]
        optimiser.zero_grad()
        rebuilding.backward()
        optimiser.step()
        seen.append(rebuilding.item())
    assert seen[-1] < 0.7 * seen[0]


def test_one_seed_gives_one_network_and_another_seed_another(images: np.ndarray) -> None:
    def weights(seed: int) -> torch.Tensor:
        trained = train_network(images, SPLIT, ARCH, TrainingOptions(iterations=6, batch=4, seed=seed))
        return torch.cat([parameter.flatten() for parameter in trained.network.parameters()])

    first = weights(1)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)


def test_the_budget_ends_the_training(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PATIENCE", schedule.EVALUATIONS + 1)  # so few steps may well bring no progress
    seconds = count()
    monkeypatch.setattr(schedule, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    trained = train_network(images, SPLIT, ARCH, TrainingOptions(iterations=10**9, batch=4, budget=20))
    assert trained.ended == "budget"
    assert 16 < trained.iterations <= 20
    rates = [step.learning_rate for step in trained.evaluations]
    assert rates[-1] < max(rates)


def test_the_last_look_that_went_well_is_kept(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole loss and that of rebuilding at each look: either may be within 2 % of its lowest."""
    losses = iter([(2.0, 0.5), (1.0, 0.6), (1.1, 0.51), (1.015, 0.6), (1.5, 0.505), (1.6, 0.52), (1.5, 0.6)])
    monkeypatch.setattr(schedule, "EVALUATIONS", 7)
    monkeypatch.setattr(schedule, "STEPS_APART", 1)
    monkeypatch.setattr(loop, "validation_losses", lambda network, batches: next(losses))
    trained = train_network(images, SPLIT, ARCH, TrainingOptions(iterations=14, batch=4))
    (kept,) = trained.kept
    assert (kept.validation_loss, kept.reconstruction_loss) == (1.5, 0.505)
    assert [step.iteration for step in trained.evaluations if step is kept] == [kept.iteration]


def test_an_interruption_keeps_the_best_model_so_far(images: np.ndarray) -> None:
    interrupted = Event()

    def stop_after_an_evaluation(what: str, share: float) -> None:
        if what.startswith("loss"):
            interrupted.set()

    trained = train_network(
        images, SPLIT, ARCH, TrainingOptions(iterations=200, batch=4), stop_after_an_evaluation, interrupted
    )
    assert trained.ended == "interrupted"
    assert trained.evaluations
    assert trained.iterations < 100


def test_a_loss_that_explodes_is_reported(images: np.ndarray) -> None:
    with pytest.raises(FittingError, match="lower --learning-rate"):
        train_network(images, SPLIT, ARCH, TrainingOptions(iterations=100, batch=4, learning_rate=1e30))


def test_each_pass_shows_every_image_once() -> None:
    images = np.stack([np.full((32, 32, 1), 20 * i, np.uint8) for i in range(1, 9)])
    stream = batch_stream(images, TrainingOptions(batch=4), Variation())
    levels = [item.clean.mean() for _ in range(2) for item in next(stream)]
    order = np.argsort(np.argsort(levels))
    assert len(set(order)) == 8
    assert np.ptp(levels) > 0.4


def test_prefetch_keeps_the_order_and_passes_errors_on() -> None:
    def numbers() -> Iterator[Any]:
        yield from ([i] for i in range(3))
        raise ValueError("the source broke")

    ready: Iterator[Any] = prefetch(numbers(), depth=2)
    assert [next(ready) for _ in range(3)] == [[0], [1], [2]]
    with pytest.raises(ValueError, match="the source broke"):
        next(ready)


def test_says_whether_good_parts_are_a_texture(images: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    options = TrainingOptions(iterations=1, batch=4)
    assert train_network(noise, SPLIT, ARCH, options).texture
    assert not train_network(images, SPLIT, ARCH, options).texture
