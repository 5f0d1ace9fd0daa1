from dataclasses import replace

import numpy as np
import pytest
from andon_monitor.inspection.inspector import Inspection, Inspector, Rules
from andon_monitor.model.file import Model
from andon_monitor.statistics import drift
from andon_monitor.telemetry.catalogue import SIGNALS

from tests.fixtures.small_model import draw, encode, make_frame

FRAMES = 200
LIMIT = 1.0


def inspect(model: Model, images: list[np.ndarray], rules: Rules | None = None) -> list[Inspection]:
    inspector = Inspector(model, rules)
    prepared = [inspector.prepare(make_frame(encode(image), i)) for i, image in enumerate(images)]
    return [
        Inspection(item, verdict) for item, verdict in zip(prepared, inspector.inspect(prepared), strict=True)
    ]  # fmt: skip


def chart(model: Model, inspections: list[Inspection]) -> list[dict[str, float]]:
    """The drift scores after each frame."""
    means, history = dict.fromkeys(SIGNALS, 0.0), []
    for inspection in inspections:
        means = drift.step(means, drift.standardise(inspection, model.card), FRAMES)
        history.append(means)
    return history


def worst(history: list[dict[str, float]], signal: str) -> float:
    return max(abs(means[signal]) for means in history)


@pytest.fixture(scope="module")
def good(model: Model) -> list[Inspection]:
    return inspect(model, [draw(5000 + i) for i in range(2000)])


def test_good_frames_do_not_drift(model: Model, good: list[Inspection]) -> None:
    history = chart(model, good)
    for signal in SIGNALS:
        assert worst(history, signal) < 0.4 * LIMIT, signal


def test_standardised_good_frames_have_mean_0_and_deviation_1(model: Model, good: list[Inspection]) -> None:
    for signal in SIGNALS:
        values = [drift.standardise(inspection, model.card)[signal] for inspection in good]
        assert abs(np.mean(values)) < 0.2, signal
        assert np.std(values) == pytest.approx(1, abs=0.2), signal


def test_a_darker_lamp_is_drift_of_the_brightness(model: Model) -> None:
    history = chart(model, inspect(model, [np.clip(draw(i) * 0.85, 0, 255).astype(np.uint8) for i in range(300)]))
    crossed = next(i for i, means in enumerate(history) if abs(means["brightness"]) > LIMIT)
    # A shift beyond the clip of 3 crosses a limit of 1 after ln(2/3) / ln(1 - 1/200) frames.
    assert crossed + 1 == pytest.approx(np.log(2 / 3) / np.log(1 - 1 / FRAMES), abs=3)
    assert history[-1]["brightness"] < -LIMIT


def test_a_lens_out_of_focus_is_drift_of_the_sharpness_alone(model: Model) -> None:
    import cv2

    blurred = [cv2.GaussianBlur(draw(i), (0, 0), 0.6) for i in range(300)]
    last = chart(model, inspect(model, blurred, Rules(too_blurred=0)))[-1]
    assert last["sharpness"] < -LIMIT
    assert abs(last["brightness"]) < LIMIT


def test_more_defects_are_not_taken_for_drift(model: Model) -> None:
    """One part in twenty a defect, ten times what is usual: a matter for the CUSUM."""
    history = chart(model, inspect(model, [draw(i, defect=i % 20 == 0) for i in range(1000)]))
    assert all(worst(history, signal) < LIMIT for signal in SIGNALS)


def test_a_frame_without_a_score_leaves_the_score_as_it_is(model: Model) -> None:
    (dark,) = inspect(model, [np.zeros((64, 64), np.uint8)])
    assert dark.verdict.reason == "too_dark"
    values = drift.standardise(dark, model.card)
    assert values == {"brightness": -drift.MAX_DEVIATIONS, "sharpness": -drift.MAX_DEVIATIONS}
    after = drift.step(dict.fromkeys(SIGNALS, 0.5), values, FRAMES)
    assert after["score"] == 0.5
    assert after["brightness"] < 0.5


def test_a_darker_lamp_is_seen_where_the_brightness_of_good_parts_varies(model: Model) -> None:
    """As of textures: 15 % less light is half a deviation there, which alone would never reach the limit."""
    usual = model.card.reference.brightness.model_copy(update={"std": 0.3 * model.card.reference.brightness.mean})
    card = model.card.model_copy(
        update={"reference": model.card.reference.model_copy(update={"brightness": usual})}
    )  # fmt: skip
    (frame,) = inspect(model, [draw(1)])
    rng = np.random.default_rng(0)
    for light, drifts in ((1.0, False), (0.85, True), (0.7, True)):
        means = dict.fromkeys(SIGNALS, 0.0)
        for brightness in light * rng.normal(usual.mean, usual.std, 1500):
            shown = replace(frame, prepared=replace(frame.prepared, brightness=float(brightness)))
            means = drift.step(means, drift.standardise(shown, card), FRAMES)
        assert (means["brightness"] < -LIMIT) == drifts, light


def test_a_line_that_stands_does_not_drift(model: Model) -> None:
    """300 pictures of one unusual but good part, each with noise of its own; then parts pass again."""
    usual, rng = model.card.reference.score, np.random.default_rng(0)
    moving, movement = drift.Movement(), drift.Movement()
    weights = [moving.weigh(float(score), usual) for score in rng.normal(usual.mean, usual.std, 1000)]
    assert np.mean(weights) > 0.98
    means = {"score": 0.0}
    for score in usual.mean + usual.std * rng.normal(1.8, 0.1, 300):
        means = drift.step(means, {"score": 1.8}, FRAMES, movement.weigh(float(score), usual))
    assert means["score"] < 0.5 * LIMIT
    for score in usual.mean + usual.std * rng.normal(1.8, 1, 300):
        means = drift.step(means, {"score": 1.8}, FRAMES, movement.weigh(float(score), usual))
    assert means["score"] > LIMIT, "that all parts have changed is seen"
