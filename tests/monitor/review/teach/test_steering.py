"""Confirmed defects lower the false-alarm rate where they can, and never raise it."""

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review.teach.steering import MIN_FOUND, steer

from tests.fixtures.small_model import build_model


@pytest.fixture(scope="module")
def tenth() -> Model:
    """A model for 10 % false alarms, whose calibration scores support lower rates."""
    from andon_monitor.model.recalibration import with_rate

    return Model.from_bytes(with_rate(build_model(), "m.onnx", 0.1)[0], "m.onnx", "cpu")


@pytest.mark.parametrize(
    ("above", "count", "rate", "said"),
    [
        (1.0, MIN_FOUND, None, "instead of 10 %: it finds the same 20 of 20 confirmed defects"),
        (1e-6, MIN_FOUND, 0.1, "a higher one loses confirmed defects"),
        (1.0, MIN_FOUND - 1, 0.1, "finds 19 of 19 confirmed defects, and fewer than 20 say no more"),
        (-0.001, 10, 0.1, "At 20 % it would find 10: after taking over, slide the threshold"),
    ],
)
def test_defects_steer(tenth: Model, above: float, count: int, rate: float | None, said: str) -> None:
    scores = [tenth.card.threshold + above] * count
    steered = steer(tenth.content, "m.onnx", tenth.card, scores)
    assert said in steered.sentence
    new = Model.from_bytes(steered.content, "m.onnx", "cpu")
    if rate is None:
        assert new.card.calibration.false_alarm_rate < 0.1
        assert new.card.calibration.is_supported
        assert new.card.threshold > tenth.card.threshold
        assert f"{100 * new.card.calibration.false_alarm_rate:.2g} % false alarms" in steered.sentence
    else:
        assert steered.content == tenth.content
