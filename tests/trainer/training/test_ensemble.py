"""One network or several: who has seen which images, and what that says of all of them."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest
from andon_trainer.architecture import Architecture
from andon_trainer.data.dataset import open_dataset
from andon_trainer.errors import FittingError
from andon_trainer.fitting import fit
from andon_trainer.options import FitOptions, TrainingOptions
from andon_trainer.training import ensemble as training
from andon_trainer.training.ensemble import STEPS_PER_NETWORK, networks_within_budget

TWO = FitOptions(false_alarm_rate=0.1, side=64, networks=2, iterations=32, batch=4, threads=1)


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


def test_no_network_is_trained_when_the_time_is_over(sample_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "RESERVED_SECONDS", 10_000.0)
    with pytest.raises(FittingError, match="too short"):
        fit(sample_folder, TWO)


def test_an_interrupted_second_network_leaves_the_first(sample_folder: Path) -> None:
    interrupted = Event()

    def interrupt(what: str, share: float) -> None:
        if what.startswith("training network 2 of 2"):
            interrupted.set()

    card = fit(open_dataset(sample_folder), TWO, progress=interrupt, interrupted=interrupted).model.card
    assert card.training.networks == 1
    assert card.training.images + card.training.calibration_images == 32


@pytest.mark.parametrize(
    ("iterations", "budget", "seconds", "networks"),
    [
        (9 * STEPS_PER_NETWORK, 600.0, 0.06, 3),
        (9 * STEPS_PER_NETWORK, 600.0, 0.25, 2),
        (9 * STEPS_PER_NETWORK, 600.0, 0.6, 1),
        (9 * STEPS_PER_NETWORK, 600.0, 60.0, 1),
        (2 * STEPS_PER_NETWORK, 600.0, 0.06, 2),
        (2 * STEPS_PER_NETWORK - 1, 600.0, 0.06, 1),
    ],
)
def test_as_many_networks_are_trained_as_the_budget_is_enough_for(
    iterations: int, budget: float, seconds: float, networks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "seconds_per_step", lambda arch, options: seconds)
    options = TrainingOptions(iterations=iterations, budget=budget)
    assert networks_within_budget(Architecture(64, 64, 1), options, lambda what, share: None) == networks
