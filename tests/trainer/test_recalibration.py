"""A new threshold for a model that exists."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.model.calibration import supported_rate
from andon_monitor.model.file import Model
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.known_images import image_hashes
from andon_trainer.export.metadata import with_card
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


def test_images_that_the_model_was_fitted_on_are_refused(model_file: Path, tmp_path: Path) -> None:
    good = tmp_path / "good"
    write_sample(good, seed=5, train=30, test_good=0, test_defects=0, stream=0)
    model = Model.load(model_file)
    samples = open_dataset(good).train
    hashes = image_hashes(load_images(samples, model.card.input))
    training = model.card.training.model_copy(update={"known_images": hashes})
    fitted = tmp_path / "fitted.onnx"
    card = model.card.model_copy(update={"training": training})
    fitted.write_bytes(with_card(onnx.load_from_string(model_file.read_bytes()), card))
    with pytest.raises(UsageError, match="was fitted on 30 of these 30 images"):
        calibrate(fitted, good)
    # Under other names, with a few new ones: still those images.
    for path in sorted((good / "train" / "good").iterdir()):
        path.rename(path.with_name(f"renamed-{path.name}"))
    write_sample(tmp_path / "new", seed=6, train=9, test_good=0, test_defects=0, stream=0)
    with pytest.raises(UsageError, match="was fitted on 30 of these 39 images"):
        calibrate(fitted, [good, tmp_path / "new" / "train" / "good"])
    write_sample(tmp_path / "more", seed=7, train=9, test_good=0, test_defects=0, stream=0)
    result = calibrate(fitted, [good, *(tmp_path / name / "train" / "good" for name in ("new", "more"))])
    assert (result.known, result.card.calibration.count) == (30, 18)


def test_without_a_rate_the_lowest_that_the_images_support_is_chosen(model_file: Path, tmp_path: Path) -> None:
    good = tmp_path / "good"
    write_sample(good, seed=5, train=30, test_good=0, test_defects=0, stream=0)
    calibration = calibrate(model_file, good).card.calibration
    assert calibration.false_alarm_rate == supported_rate(calibration.count) == 0.05
