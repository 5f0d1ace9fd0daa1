from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.errors import ModelError
from andon_monitor.inspection.frames import REASONS
from andon_monitor.inspection.inspector import Inspector, Rules
from andon_monitor.model.card import Spread
from andon_monitor.model.file import Model
from andon_monitor.model.imaging import Pixels

from tests.fixtures.images import bomb
from tests.fixtures.small_model import START, build_model, draw, encode, make_frame, tell_kinds

SHARP = draw(1)
UNINSPECTABLE = [
    (b"", "empty"),
    (b"no image", "undecodable"),
    (encode(SHARP, ".jpg")[:-600], "undecodable"),
    (bomb(), "too_large"),
    (encode(SHARP[:30]), "wrong_shape"),
    (encode(SHARP // 20), "too_dark"),
    (encode(cv2.GaussianBlur(SHARP, (0, 0), 5)), "too_blurred"),
]


@pytest.fixture
def inspector(model: Model) -> Inspector:
    return Inspector(model)


def inspect(inspector: Inspector, *data: bytes, now: float | None = None) -> list[Any]:
    frames = [make_frame(item, offset) for offset, item in enumerate(data)]
    return inspector.inspect([inspector.prepare(frame) for frame in frames], now)


def test_good_and_defect_parts_are_told_apart(inspector: Inspector) -> None:
    good, defect = inspect(inspector, encode(draw(1)), encode(draw(1, defect=True)))
    assert (good.outcome, defect.outcome) == ("good", "defect")
    assert good.score <= good.threshold < defect.score
    assert good.p_value > 0.01 >= defect.p_value
    assert (good.reason, good.detail, good.latency) == (None, None, None)
    assert good.model == "darkness"


@pytest.mark.parametrize(("data", "reason"), UNINSPECTABLE)
def test_a_frame_that_cannot_be_inspected_says_why(inspector: Inspector, data: bytes, reason: str) -> None:
    before, verdict, after = inspect(inspector, encode(draw(1)), data, encode(draw(2)))
    assert (verdict.outcome, verdict.reason) == ("uninspectable", reason)
    assert (verdict.score, verdict.p_value) == (None, None)
    assert verdict.detail
    assert (before.outcome, after.outcome) == ("good", "good")


@pytest.mark.parametrize("reason", ["too_dark", "too_blurred"])
def test_light_and_focus_rules_can_be_turned_off(model: Model, reason: str) -> None:
    data = next(data for data, name in UNINSPECTABLE if name == reason)
    (verdict,) = inspect(Inspector(model, Rules(**{"too_dark": 0, "too_blurred": 0})), data)
    assert verdict.outcome != "uninspectable"


def test_an_operator_may_set_a_threshold_for_a_camera(model: Model) -> None:
    inspector = Inspector(model, Rules(alias="press", thresholds={"station-1": 0.1}))
    (verdict,) = inspect(inspector, encode(draw(1)))
    assert (verdict.outcome, verdict.threshold, verdict.model) == ("defect", 0.1, "press")
    assert inspector.threshold("station-2") == model.card.threshold


def test_a_stale_live_frame_is_skipped_and_a_recorded_one_never(model: Model) -> None:
    inspector = Inspector(model, Rules(max_staleness=2.0))
    fresh, old = encode(draw(1)), encode(draw(2))
    frames = [make_frame(fresh, offset=10), make_frame(old, offset=0)]
    prepared = [inspector.prepare(frame) for frame in frames]
    live = inspector.inspect(prepared, now=START + 11)
    assert [verdict.reason for verdict in live] == [None, "stale"]
    assert [verdict.reason for verdict in inspector.inspect(prepared)] == [None, None]


class Fragile:
    """A model that fails, or gives a score that is no number, where a frame's first pixel says so."""

    def __init__(self, model: Model) -> None:
        self.card, self.sha256, self._model = model.card, model.sha256, model

    def score(self, frames: Pixels) -> Any:
        marks = frames[:, 0, 0, 0]
        if (marks == 255).any():
            raise RuntimeError("out of memory\non the device")
        return np.where(marks == 254, np.nan, self._model.score(frames))


def test_a_failure_of_one_frame_is_its_verdict_and_the_others_are_inspected(model: Model) -> None:
    images = [draw(i) for i in range(4)]
    for image in images:
        image[:4, :4] = 100
    images[1][:4, :4], images[2][:4, :4] = 255, 254
    inspector = Inspector(Fragile(model))
    verdicts = inspect(inspector, *(encode(image) for image in images))
    assert [verdict.reason for verdict in verdicts] == [None, "failed", "failed", None]
    assert verdicts[1].detail == "RuntimeError: out of memory"
    assert verdicts[2].detail == "the model's score is nan"


def test_an_unexpected_error_while_preparing_is_a_verdict_too(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def surprise(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("andon_monitor.model.imaging.load", surprise)
    (verdict,) = inspect(Inspector(model), encode(draw(1)))
    assert (verdict.reason, verdict.detail) == ("failed", "MemoryError")


def test_every_reason_a_verdict_can_have_is_a_label_known_from_the_start() -> None:
    assert {reason for _, reason in UNINSPECTABLE} | {"stale", "malformed", "failed", "no_recipe", "no_model"} == set(
        REASONS
    )


def test_verdicts_keep_the_order_and_place_of_their_frames(inspector: Inspector) -> None:
    frames = [make_frame(encode(draw(i)), offset=7 * i, camera=f"c{i}", file=f"{i}.png") for i in range(5)]
    verdicts = inspector.inspect([inspector.prepare(frame) for frame in frames])
    assert [(v.camera, v.position, v.file, v.captured_at) for v in verdicts] == [
        (f.camera, f.position, f.file, f.captured_at) for f in frames
    ]
    assert len({verdict.id for verdict in verdicts}) == 5


def test_a_score_is_the_one_that_evaluating_the_file_gives(inspector: Inspector, model: Model) -> None:
    from andon_monitor.model.imaging import load

    (verdict,) = inspect(inspector, encode(draw(3)))
    evaluated = model.score(np.stack([load(encode(draw(i)), model.card.input) for i in range(6)]))
    assert verdict.score == float(evaluated[3])


def test_inspecting_nothing_gives_nothing(inspector: Inspector) -> None:
    assert inspector.inspect([]) == []


@pytest.fixture
def fresh(model_bytes: bytes) -> Model:
    """A model that a test may change."""
    return Model.from_bytes(model_bytes, "test.onnx", "cpu")


def test_golden_frames_get_the_outcomes_of_the_self_test(fresh: Model) -> None:
    Inspector(fresh).check_golden()
    Inspector(fresh, Rules(too_dark=1.0, too_blurred=1.0)).check_golden()  # an operator may be stricter
    fresh.golden_outcomes = ("defect", *fresh.golden_outcomes[1:])
    with pytest.raises(ModelError, match="self-test failed: golden frame 1 is good"):
        Inspector(fresh).check_golden()


def test_golden_frames_that_would_not_be_inspected_refuse_the_model(fresh: Model) -> None:
    spread = Spread(mean=1e9, std=0.0, lowest=1e9, highest=1e9)
    reference = fresh.card.reference.model_copy(update={"sharpness": spread})
    fresh.card = fresh.card.model_copy(update={"reference": reference})
    with pytest.raises(ModelError, match=r"golden frame 1 is uninspectable \(too_blurred: sharpness "):
        Inspector(fresh).check_golden()


def test_a_model_that_gives_another_number_of_scores_fails_its_frames_and_nothing_else(
    fresh: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "score", lambda frames: np.ones(5, np.float32))
    verdicts = inspect(Inspector(fresh), encode(SHARP), encode(draw(2)))
    assert [verdict.detail for verdict in verdicts] == ["ValueError: 5 scores for 1 frames"] * 2


def test_a_classifier_with_more_kinds_than_names_leaves_a_defect_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.from_bytes(tell_kinds(build_model()), "kinds.onnx", "cpu")
    monkeypatch.setattr(model, "classify", lambda frames: np.array([[0.0, 0.0, 1.0]], np.float32))
    (verdict,) = inspect(Inspector(model), encode(draw(3, defect=True)))
    assert (verdict.outcome, verdict.kind) == ("defect", None)
