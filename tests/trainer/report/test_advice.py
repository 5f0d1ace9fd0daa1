"""What people are told about the images that set a threshold."""

import numpy as np
import pytest
from andon_monitor.model.calibration import calibrate
from andon_trainer.data.audit import Audit, Measured
from andon_trainer.data.batches import Batch, Batches
from andon_trainer.report.advice import batches_note, one_network_note, warnings

from tests.fixtures.small_model import draw, make_card

GOOD = np.stack([draw(i) for i in range(4)])[..., None]
TWO = Batch("day/a", 60, 1.0, 0), Batch("a/night/b", 40, 1.2, 10)


@pytest.mark.parametrize(
    ("networks", "learned_from", "held_out", "told"),
    [
        (1, 96, 24, True),
        (3, 120, 120, False),
        (1, 8, 4, False),  # 12 images support no lower rate than 4 do
        (1, 500, 125, False),  # enough for the lowest usual rate
    ],
)
def test_where_one_network_leaves_few_images_for_the_threshold_the_remedy_is_named(
    networks: int, learned_from: int, held_out: int, told: bool
) -> None:
    card = make_card(GOOD, architecture={"name": "conv-dense"})
    counts = {"images": learned_from, "networks": networks, "iterations": 100, "seconds": 60.0}
    training = card.training.model_copy(update=counts)
    calibration = calibrate(np.arange(float(held_out)), 0.05)
    card = card.model_copy(update={"training": training, "calibration": calibration})
    note = one_network_note(card)
    if told:
        assert note == (
            "One network was trained, so only 24 of 120 images set the threshold. With --networks 3 all of "
            "them do, and they support a rate of 1 %: it takes about --budget 10m on this machine."
        )
        assert note in warnings(card, None)
        assert one_network_note(card.model_copy(update={"architecture": {"name": "dense"}})) is None
    else:
        assert note is None


@pytest.mark.parametrize(
    ("batches", "ordered", "said"),
    [
        (None, False, None),
        (None, True, "Put each batch into a subfolder of its own"),
        (
            Batches(TWO, whole=False, total=2),
            False,
            "There are 2 batches. Whole ones are held out only of 5",
        ),
        (
            Batches((*TWO, *(Batch(f"c{i}", 50, 1.0, 1) for i in range(3))), whole=True, total=12),
            False,
            "set on 5 of 12 batches, each held out as a whole. What the others set flags most of night/b: 10 of 40 "
            "images. Of 10 new batches, 8 flag 25 % at most.",
        ),
    ],
)
def test_what_batches_say_of_the_rate_on_a_new_one(batches: Batches | None, ordered: bool, said: str | None) -> None:
    measured = Measured(np.zeros(0), ())
    audit = Audit((), (), 0, (), measured, measured, None, None, batches, ordered, 0, ())
    note = batches_note(audit, make_card(GOOD))
    assert note is None if said is None else said in (note or "")
