"""What may be asked of `fit`: each wrong value is refused with its option, the value, and what is right."""

from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_trainer.options import FitOptions, parse_region

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"false_alarm_rate": 0.7}, r"--false-alarm-rate 0\.7: give a number between 1e-09 and 0\.5"),
    ({"false_alarm_rate": float("nan")}, "--false-alarm-rate nan: give a number"),
    ({"side": 63}, "--side 63: give a number between 64 and 2048"),
    ({"size": "huge"}, "--size huge: choose small, base, large"),
    ({"architecture": "deep"}, "--architecture deep: choose conv-dense, dense"),
    ({"kind": "sparse"}, "--kind sparse: only with --architecture dense"),
    ({"kind": "odd", "architecture": "dense"}, "--kind odd: choose plain"),
    ({"size": "large", "architecture": "dense"}, "--size large: only with --architecture conv-dense"),
    ({"loss": "l2"}, "--loss l2: choose l1-ssim, mse, bce"),
    ({"loss": "l1-ssim", "architecture": "dense"}, "--loss l1-ssim: choose mse, bce"),
    ({"networks": 6}, "--networks 6: give a number between 1 and 5"),
    ({"networks": 2, "architecture": "dense"}, "--networks 2: only with --architecture conv-dense"),
    ({"iterations": 0}, "--iterations 0: give a number between 1"),
    ({"batch": 1}, "--batch 1: give a number between 2"),
    ({"learning_rate": 2.0}, r"--learning-rate 2\.0: give a number between"),
    ({"threads": -1}, "--threads -1: give a number between 0"),
    ({"colour": "blue"}, "--colour blue: choose auto, grey, rgb"),
    ({"device": "tpu"}, "--device tpu: choose auto, cpu, cuda"),
    ({"layers": (784, 64, 64, 784)}, "--layers 784-64-64-784: give the sizes"),
    ({"budget": 0.5}, r"--budget 0\.5: give a time of at least a second"),
    ({"budget": float("inf")}, "--budget inf: give a time"),
    ({"region": (0, 0, 4, 50)}, "--region 0,0,4,50: give left,top,width,height in pixels, at least 16"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[str(changes) for changes, _ in WRONG])
def test_a_wrong_value_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FitOptions(**changes)


def test_the_architecture_chooses_what_nobody_says() -> None:
    usual, dense = FitOptions(), FitOptions(architecture="dense")
    assert (usual.training.iterations, usual.training.batch, usual.training.learning_rate) == (9000, 16, 3e-3)
    assert (dense.training.iterations, dense.training.batch, dense.training.learning_rate) == (3000, 256, 1e-3)
    assert (usual.reconstruction_loss, dense.reconstruction_loss) == ("l1-ssim", "mse")
    assert dense.dense_kind == "plain"


def test_what_somebody_says_is_kept() -> None:
    options = FitOptions(architecture="dense", kind="sparse", loss="bce", iterations=7, batch=8, learning_rate=0.1)
    assert (options.training.iterations, options.training.batch, options.training.learning_rate) == (7, 8, 0.1)
    assert (options.reconstruction_loss, options.dense_kind) == ("bce", "sparse")


def test_a_region_is_read_from_text() -> None:
    assert parse_region("40,0,600,480") == (40, 0, 600, 480)


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "-1,0,50,50", "0,0,4,50"])
def test_text_that_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give left,top,width,height"):
        parse_region(text)
