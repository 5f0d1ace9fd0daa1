"""A model file with the threshold for another rate: the same scores, another card, and nothing that is refused."""

from pathlib import Path

import numpy as np
import pytest
from andon_monitor.errors import ModelError, UsageError
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.file import Model
from andon_monitor.model.recalibration import rate_of, with_rate

from tests.fixtures.small_model import build_model, tell_kinds


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.05, 0.4])
def test_the_new_file_scores_the_same_with_the_threshold_for_the_rate(model: Model, rate: float) -> None:
    content, card = with_rate(model.content, "part.onnx", rate)
    new = Model.from_bytes(content, "part.onnx", "cpu")
    assert new.card == card
    assert card.calibration == calibrate(model.card.calibration.scores, rate)
    assert np.array_equal(new.score(new.golden_frames), model.score(model.golden_frames))
    assert (card.weights_sha256, card.training, card.created_at) == (
        model.card.weights_sha256,
        model.card.training,
        model.card.created_at,
    )
    assert with_rate(content, "part.onnx", rate)[0] == content


def test_figures_of_the_old_threshold_go_and_kinds_stay() -> None:
    metrics = {"image_auroc": 0.98, "detection_rate": 0.9, "false_alarm_rate": 0.02}
    tested = {"good": 10, "false_alarms": 1, "defects": 10, "found": 9}
    content = tell_kinds(build_model(lambda card: card | {"metrics": metrics, "tested": tested}))
    _, card = with_rate(content, "part.onnx", 0.1)
    assert card.metrics == {"image_auroc": 0.98}
    assert card.tested is None
    assert Model.from_bytes(with_rate(content, "part.onnx", 0.1)[0], "part.onnx", "cpu").kinds == ("dark", "bright")


def test_what_is_no_rate_or_no_model_is_refused(model: Model, tmp_path: Path) -> None:
    for rate in (0.0, 0.6, -1.0, float("nan")):
        with pytest.raises(UsageError, match="false-alarm rate"):
            with_rate(model.content, "part.onnx", rate)
    with pytest.raises(ModelError, match=r"part\.onnx"):
        with_rate(b"nothing", "part.onnx", 0.1)


@pytest.mark.parametrize("count", [12, 200, 5000])
def test_the_rate_of_a_threshold_gives_that_threshold_or_the_next_higher(count: int) -> None:
    calibration = calibrate(np.random.default_rng(1).gamma(4, 0.25, count), 0.05)
    for rate in (0.2, 0.05, 0.011, 0.001):
        threshold = calibrate(calibration.scores, rate).threshold
        found = rate_of(calibration, threshold)
        assert calibrate(calibration.scores, found).threshold == pytest.approx(threshold, rel=3e-3)
    with pytest.raises(UsageError, match="scores give"):
        rate_of(calibration, 1e9)
    with pytest.raises(UsageError, match="scores give"):
        rate_of(calibration, -1.0)
