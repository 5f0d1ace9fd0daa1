"""Frames that no line may pass, and good parts with made-up defects."""

import numpy as np
import pytest
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.card import Probe
from andon_monitor.model.imaging import load
from andon_trainer.export.probes import (
    CONTRAST,
    MADE_UP_FRAMES,
    impossible_frames,
    made_up_defects,
    stop_impossible_frames,
    turning_changes,
)

from tests.fixtures.small_model import SPEC, draw, encode, make_card


def parts(count: int, channels: int = 1) -> np.ndarray:
    """Parts with a bright bar at their left, each with noise of its own: uint8 [count, 64, 96, C]."""
    rng = np.random.default_rng(count)
    frames = rng.normal(100, 4, (count, 64, 96, channels))
    frames[:, 10:54, 8:20] += 100
    return frames.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_impossible_frames_are_like_frames_and_unlike_good_parts(channels: int) -> None:
    good = parts(9, channels)
    frames = impossible_frames(good, np.random.default_rng(0))
    assert set(frames) == {"empty", "only noise", "half covered", "another scene", "upside down"}
    for name, some in frames.items():
        assert some.dtype == np.uint8, name
        assert some.shape == (6, 64, 96, channels), name
        assert np.abs(some.astype(int) - good[:6]).mean() > 5, name


def test_only_parts_that_look_other_upside_down_are_turned() -> None:
    assert turning_changes(parts(9))
    noise = np.random.default_rng(0).integers(90, 110, (9, 64, 64, 1), dtype=np.uint8)
    assert not turning_changes(noise)
    assert "upside down" not in impossible_frames(noise, np.random.default_rng(0))


@pytest.mark.parametrize("size", [0.02, 0.05, 0.1])
def test_made_up_defects_are_as_large_and_as_strong_as_stated(size: float) -> None:
    good = parts(MADE_UP_FRAMES)
    frames = made_up_defects(good, size, np.random.default_rng(0))
    changed = np.abs(frames.astype(int) - good) > CONTRAST / 2
    rows, columns = changed.any(axis=(2, 3)).sum(axis=1), changed.any(axis=(1, 3)).sum(axis=1)
    longest = np.maximum(rows, columns)
    assert (longest >= 1).all()
    assert (longest <= 2 * size * 96 + 4).all(), "a scratch is twice as long as the size"


def test_a_rate_that_nobody_asked_for_is_raised_until_no_impossible_frame_passes() -> None:
    good = np.stack([load(encode(draw(i)), SPEC) for i in range(120)])
    card = make_card(good)
    assert card.calibration.false_alarm_rate == 0.01
    five = calibrate(card.calibration.scores, 0.05).threshold
    two = calibrate(card.calibration.scores, 0.02).threshold
    between = Probe(kind="impossible", name="empty", scores=((five + two) / 2,))
    raised = stop_impossible_frames(card.model_copy(update={"probes": (between,)}))
    assert raised.calibration.false_alarm_rate == 0.05
    never = Probe(kind="impossible", name="empty", scores=(min(card.calibration.scores),))
    hopeless = card.model_copy(update={"probes": (never,)})
    assert stop_impossible_frames(hopeless) == hopeless, "no rate helps: the card says that it is not good enough"
