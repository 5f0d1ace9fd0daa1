"""Whether a model is good enough to run."""

import numpy as np
import pytest
from andon_monitor.model.card import Card, EvaluatedImages, Probe
from andon_monitor.model.fitness import assess
from andon_monitor.model.imaging import load

from tests.fixtures.small_model import SPEC, draw, encode, make_card


def card_with(**changes: object) -> Card:
    return make_card(np.stack([load(encode(draw(i)), SPEC) for i in range(40)]), **changes)


def probe(kind: str, name: str, *scores: float) -> Probe:
    return Probe.model_validate({"kind": kind, "name": name, "scores": scores})


def test_a_card_that_does_not_tell_is_not_judged() -> None:
    assert assess(card_with()) is None


@pytest.mark.parametrize(
    ("found", "grade"), [(20, "good enough"), (16, "good enough"), (15, "limited"), (9, "not good enough")]
)
def test_the_share_of_made_up_defects_decides(found: int, grade: str) -> None:
    card = card_with(probes=(probe("made-up", "2 %", *[9.0] * found, *[0.0] * (20 - found)),))
    fitness = assess(card)
    assert fitness is not None
    assert (fitness.grade, fitness.made_up) == (grade, True)
    assert f"{found} of 20 made-up defects are found, {5 * found} % (" in str(fitness)


def test_enough_test_images_count_more_than_made_up_defects() -> None:
    probes = (probe("made-up", "2 %", *[9.0] * 20),)
    few = assess(card_with(probes=probes, tested=EvaluatedImages(good=5, false_alarms=0, defects=9, found=0)))
    many = assess(card_with(probes=probes, tested=EvaluatedImages(good=5, false_alarms=0, defects=84, found=0)))
    assert few is not None
    assert few.made_up
    assert few.grade == "good enough"
    assert many is not None
    assert not many.made_up
    assert str(many) == "NOT GOOD ENOUGH TO RUN: 0 of 84 test images of defects are found, 0 % (0 to 4 %)"


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"iterations": 299}, "training steps (299 done, 300 or more needed)"),
        ({"networks": 3}, "training steps (800 done, 900 or more needed)"),
        ({"images": 20, "calibration_images": 9}, "good images (29 given, 30 or more needed)"),
        ({"images": 20, "calibration_images": 10}, None),
        ({"iterations": 299, "ended": "early"}, None),
    ],
)
def test_made_up_defects_prove_nothing_of_a_model_of_few_steps_or_images(
    changes: dict[str, object], missing: str | None
) -> None:
    training = card_with().training.model_copy(update={"iterations": 800} | changes)
    probes = (probe("made-up", "2 %", *[9.0] * 20),)
    fitness = assess(card_with(probes=probes, training=training))
    assert fitness is not None
    if missing is None:
        assert fitness.grade == "good enough"
    else:
        assert str(fitness) == (
            "Not known to be good enough to run: 20 of 20 made-up defects are found, 100 % (83 to 100 %); "
            f"missing: {missing}, test images of 10 defects or more"
        )
    measured = assess(
        card_with(
            training=training, tested=EvaluatedImages(good=5, false_alarms=0, defects=20, found=20), probes=probes
        )
    )
    assert measured is not None
    assert measured.grade == "good enough"


@pytest.mark.parametrize(("found", "grade"), [(10, "good enough"), (9, "good enough"), (8, "limited")])
def test_few_test_images_must_leave_little_doubt(found: int, grade: str) -> None:
    """8 of 10 may be one in two: the 95 % interval of their share begins at 0.49."""
    fitness = assess(
        card_with(
            probes=(probe("made-up", "2 %", 9.0),),
            tested=EvaluatedImages(good=5, false_alarms=0, defects=10, found=found),
        )
    )
    assert fitness is not None
    assert fitness.grade == grade


def test_a_threshold_that_an_empty_frame_passes_is_not_good_enough() -> None:
    """At the model's own threshold it does not; a threshold that somebody set higher is judged, too."""
    card = card_with(probes=(probe("impossible", "empty", 5.0, 6.0), probe("made-up", "2 %", *[9.0] * 20)))
    fitness, raised = assess(card), assess(card, threshold=5.5)
    assert fitness is not None
    assert fitness.grade == "good enough"
    assert raised is not None
    assert raised.passing == (("empty", 1, 2),)
    assert str(raised).startswith(
        "NOT GOOD ENOUGH TO RUN: frames that cannot be good parts are called good: empty (1 of 2)"
    )
