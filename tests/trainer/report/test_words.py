"""Sentences about a threshold."""

import numpy as np
import pytest
from andon_monitor.model.calibration import calibrate
from andon_trainer.report.words import chosen_rate_note, describe_calibration, few_images_note


@pytest.mark.parametrize(
    ("count", "rate", "words"),
    [
        (300, 0.01, "so 1 % is used: about 10 of 1,000 good parts a shift will be called defects"),
        (45, 0.05, "so 5 % is used, the lowest that 45 good images support: about 50 of 1,000"),
        (45, 0.05, "99 images support 1 %"),
    ],
)
def test_a_rate_that_was_chosen_is_said_in_parts_a_shift(count: int, rate: float, words: str) -> None:
    assert words in chosen_rate_note(calibrate(np.arange(float(count)), rate))


def test_a_threshold_says_how_far_a_line_may_be_from_its_rate() -> None:
    described = describe_calibration(calibrate(np.arange(300.0), 0.01))
    assert described.endswith("Of 10 lines with such a threshold, 8 flag 0.37 to 1.8 % of good parts.")
    assert "Of 10 lines" not in describe_calibration(calibrate(np.arange(45.0), 0.001)), "that cannot be told"


def test_a_rate_below_what_the_images_support_says_what_it_costs() -> None:
    assert few_images_note(calibrate(np.arange(45.0), 0.05)) is None
    note = few_images_note(calibrate(np.arange(45.0), 0.001))
    assert note is not None
    assert "may miss most defects. So many support 5 %" in note
