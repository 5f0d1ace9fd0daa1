"""A new threshold for a model that exists."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.model.file import Model
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.recalibration import calibrate
from andon_trainer.sample.render import write_sample


def test_recalibration_changes_the_threshold_and_nothing_that_scores(model_file: Path, tmp_path: Path) -> None:
    before = Model.load(model_file)
    good = tmp_path / "good"
    write_sample(good, seed=5, train=30, test_good=0, test_defects=0, stream=0)
    result = calibrate(model_file, good, false_alarm_rate=0.1)
    after = Model.from_bytes(result.content, "recalibrated")
    assert after.card == result.card
    assert after.card.calibration.method == "conformal"
    assert after.card.calibration.count == 30
    assert after.card.weights_sha256 == before.card.weights_sha256
    assert after.sha256 != before.sha256
    frames = load_images(open_dataset(good).train, after.card.input)
    np.testing.assert_array_equal(after.score(frames), before.score(frames))
    assert (after.score(frames) > after.card.threshold).sum() == 2  # ceil(31 * 0.9) = 28th of 30, so two lie above


def test_images_or_labels_are_given(model_file: Path) -> None:
    for both in ({}, {"good": "good", "labels": "labels"}):
        with pytest.raises(UsageError, match="give either a folder of good parts or --labels"):
            calibrate(model_file, **both)


def test_recalibration_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import andon_trainer.recalibration, andon_trainer.options"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
