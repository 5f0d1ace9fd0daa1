"""One network or several: who has seen which images, and what that says of all of them."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest
from andon_trainer.architecture import Architecture
from andon_trainer.data.dataset import good_samples, open_dataset
from andon_trainer.data.images import ImageCache, TrainingImages
from andon_trainer.errors import FittingError
from andon_trainer.export.card import training_record
from andon_trainer.fitting import fit
from andon_trainer.options import FitOptions, TrainingOptions
from andon_trainer.progress import quiet
from andon_trainer.training import ensemble as training
from andon_trainer.training.ensemble import (
    FEW_IMAGES,
    STEPS_PER_NETWORK,
    networks_to_train,
    split_images,
    train_networks,
)
from andon_trainer.training.resolution import load_training_images
from andon_trainer.training.schedule import join_trainings

TWO = FitOptions(
    false_alarm_rate=0.1, side=64, size="small", encoder="none", networks=2, iterations=32, batch=4, threads=1
)


def test_of_two_networks_each_tells_the_threshold_what_images_score_that_it_did_not_see(sample_folder: Path) -> None:
    built = fit(sample_folder, TWO)
    record, calibration = built.model.card.training, built.model.card.calibration
    assert (record.networks, record.images, record.iterations) == (2, 32, 32)
    assert record.calibration_images == calibration.count == len(built.held_out) == pytest.approx(2 * 32 / 3, abs=2)
    assert len(built.training.kept) == 2
    assert built.training.evaluations[-1].iteration == 32
    together = built.model.score(built.held_out)
    assert not set(calibration.scores) & {float(score) for score in together}
    assert np.corrcoef(np.sort(together), np.sort(calibration.scores))[0, 1] > 0.8
    assert built.evaluation is not None


@pytest.fixture(scope="module")
def images(sample_folder: Path) -> TrainingImages:
    samples = good_samples(open_dataset(sample_folder))
    return load_training_images(samples, ImageCache(), TWO, TWO.training, quiet)


def test_no_network_is_trained_when_the_time_is_over(images: TrainingImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "RESERVED_SECONDS", 10_000.0)
    planned = split_images(images, TWO, TWO.training, quiet)
    with pytest.raises(FittingError, match="too short"):
        train_networks(images, planned, TWO, TWO.training, quiet, None)


def test_an_interrupted_second_network_leaves_the_first(images: TrainingImages) -> None:
    interrupted = Event()

    def interrupt(what: str, share: float) -> None:
        if what.startswith("training network 2 of 2"):
            interrupted.set()

    planned = split_images(images, TWO, TWO.training, quiet)
    trained = train_networks(images, planned, TWO, TWO.training, interrupt, interrupted)
    assert interrupted.is_set()
    assert (len(planned), len(trained.networks)) == (2, 1)
    record = training_record(join_trainings(trained.networks), trained.splits, images.fingerprint, TWO.training)
    assert record.networks == 1
    assert record.images + record.calibration_images == 32


@pytest.mark.parametrize(
    ("iterations", "budget", "seconds", "images", "networks"),
    [
        (9 * STEPS_PER_NETWORK, 600.0, 0.06, FEW_IMAGES, 1),
        (9 * STEPS_PER_NETWORK, 600.0, 0.06, FEW_IMAGES - 1, 3),
        (9 * STEPS_PER_NETWORK, 600.0, 0.6, FEW_IMAGES - 1, 3),
        (2 * STEPS_PER_NETWORK, 600.0, 0.06, FEW_IMAGES - 1, 2),
        (2 * STEPS_PER_NETWORK - 1, 600.0, 0.06, FEW_IMAGES - 1, 1),
        (9 * STEPS_PER_NETWORK, 600.0, 1.0, 45, 2),
        (9 * STEPS_PER_NETWORK, 600.0, 60.0, 45, 1),
        (40, 600.0, 0.6, 45, 1),
    ],
)
def test_as_many_networks_are_trained_as_the_budget_is_enough_for(
    iterations: int, budget: float, seconds: float, images: int, networks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "seconds_per_step", lambda arch, options: seconds)
    options = TrainingOptions(iterations=iterations, budget=budget)
    assert networks_to_train(Architecture(64, 64, 1), options, quiet, images) == networks
