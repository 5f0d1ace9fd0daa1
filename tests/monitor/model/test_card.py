"""A model card may come from anybody: every number is finite and in range, all of it consistent, every text short."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from andon_monitor.errors import ModelError
from andon_monitor.model.calibration import MAX_SCORES_KEPT, calibrate
from andon_monitor.model.card import CARD_KEY, Card, parse_card
from andon_monitor.model.graph_check import check_graph

from tests.fixtures.small_model import build_model, tell_kinds, with_threshold

CARD: dict[str, Any] = json.loads(check_graph(tell_kinds(build_model()), "part.onnx").metadata[CARD_KEY])
NAN, INFINITY = math.nan, math.inf


def changed(*path: str | int, value: Any) -> str:
    """The card as JSON with one value changed."""
    card = json.loads(json.dumps(CARD))
    holder = card
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return json.dumps(card)


def refuse(text: str, match: str | None = None) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        parse_card(text, "part.onnx")
    message = str(caught.value)
    assert message.startswith("part.onnx: its model card is damaged")
    assert message.isprintable()
    assert len(message) < 400


def numbers(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The places of all numbers of a card; of lists the first only."""
    if isinstance(value, dict):
        return [place for key, inner in value.items() for place in numbers(inner, (*path, key))]
    if isinstance(value, list):
        return [place for i, inner in enumerate(value[:1]) for place in numbers(inner, (*path, i))]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


def test_a_sound_card_is_read() -> None:
    assert parse_card(json.dumps(CARD), "part.onnx").name == "darkness"


@pytest.mark.parametrize("path", [place for place in numbers(CARD) if place != ("card_version",)])
def test_no_number_is_nan_infinite_huge_a_text_a_list_or_missing(path: tuple[str | int, ...]) -> None:
    choices = {("input", "channels"), ("input", "reduction")}  # where JSON's true is 1
    for value in (NAN, INFINITY, -INFINITY, 10**400, -1e308, "1", None, [1], *(() if path in choices else (True,))):
        refuse(changed(*path, value=value))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("calibration", "threshold"), 1e6, r"threshold 1e\+06 is not what its 200 scores give for a rate of 0\.01"),
        (("calibration", "threshold"), -1.0, "threshold -1 is not what"),
        (("calibration", "threshold"), CARD["calibration"]["threshold"] * 1.01, "is not what its 200 scores give"),
        (("calibration", "false_alarm_rate"), 0.5, "is not what its 200 scores give for a rate of 0.5"),
        (("calibration", "false_alarm_rate"), 0.0, "false_alarm_rate"),
        (("calibration", "false_alarm_rate"), 0.9, "false_alarm_rate"),
        (("calibration", "false_alarm_rate"), 1e-320, "false_alarm_rate"),
        (("calibration", "method"), "tail", "method tail does not fit"),
        (("calibration", "count"), 199, "200 scores of 199"),
        (("calibration", "count"), 10**9, "200 scores of 1000000000"),
        (("calibration", "scores"), [], "calibration.scores"),
        (("calibration", "scores"), CARD["calibration"]["scores"][::-1], "not sorted"),
        (("calibration", "tail"), {"start": 0.7, "mass": 0.1, "scale": 1.0, "shape": 0.1}, "method conformal"),
        (("reference", "score", "lowest"), 0.9, "not in order"),
        (("reference", "score", "lowest"), 0.5, "reference scores from 0.5"),
        (("reference", "brightness", "highest"), 2.0, "brightness from"),
        (("reference", "brightness", "std"), 0.9, "std 0.9 is impossible"),
        (("reference", "brightness", "std"), -0.1, "reference.brightness.std"),
        (("reference", "sharpness", "lowest"), -1.0, "sharpness -1 is below 0"),
        (("input", "region"), [0, 0, 0, 0], "input.region"),
        (("input", "region"), [-1, 0, 32, 32], "input.region"),
        (("input", "region"), [40, 0, 32, 32], r"region \(40, 0, 32, 32\) is not inside a frame of 64 x 64"),
        (("input", "region"), [0, 0, 32], "input.region"),
        (("input", "frame_size"), [0, 64], "input.frame_size"),
        (("input", "frame_size"), [64], "input.frame_size"),
        (("input", "black_level"), 255, "black_level 255 is not below white_level 255"),
        (("input", "white_level"), 70000, "input.white_level"),
        (("input", "reduction"), 3, "input.reduction"),
        (("input", "channels"), 2, "input.channels"),
        (("input", "height"), 2, "input.height"),
        (("input",), CARD["input"] | {"height": 60000, "width": 60000}, "60000 x 60000 pixels"),
        (("input",), CARD["input"] | {"region": [1, 0, 32, 32], "reduction": 2}, "cannot be divided by the reduction"),
        (("input",), CARD["input"] | {"frame_size": None, "reduction": 2}, "reduction 2 without a frame_size"),
        (("kinds", "names"), ["dark", "dark"], "two kinds have the same name"),
        (("kinds", "names"), [], "kinds.names"),
        (("kinds", "names"), ["dark", ""], "kinds.names.1"),
        (("kinds", "names"), ["dark", "x" * 101], "kinds.names.1"),
        (("kinds", "accuracy"), 1.1, "kinds.accuracy"),
        (("kinds", "temperature"), 0.0, "kinds.temperature"),
        (("name",), "", "name"),
        (("name",), "x" * 900_000, "name"),
        (("name",), "two\nlines", "name: has control characters"),
        (("name",), "\x1b[31mred", "name: has control characters"),
        (("name",), "\ud800", "damaged"),
        (("name",), "right\u202eleft", "name: has control characters"),
        (("training", "device"), "a\nb", "training.device"),
        (("training", "fingerprint"), "0" * 64 + "\n", "training.fingerprint"),
        (("training", "images"), -1, "training.images"),
        (("training", "images"), 2.5, "training.images"),
        (("weights_sha256",), "F" * 64, "weights_sha256"),
        (("created_at",), "0000-00-00", "created_at"),
        (("created_at",), "9999-12-31T23:59:59Z", "created_at"),
        (("created_at",), "2026-01-01T00:00:00", "created_at"),
        (("created_at",), 1767225600, "created_at"),
        (("metrics",), {"image_auroc": NAN}, "damaged"),
        (("metrics",), {"a\nb": 0.5}, "metrics"),
        (("versions",), {"andon": "x" * 1000}, "versions.andon"),
        (("architecture",), {"name": {"deeper": 1}}, "architecture.name"),
        (("architecture",), {"widths": [[[[[1]]]]]}, "architecture.widths"),
        (("architecture",), {"latent": NAN}, "damaged"),
        (("golden_outcomes",), ["good"] * 1000, "golden_outcomes"),
        (("golden_outcomes",), ["uninspectable"], "golden_outcomes.0"),
        (("surprise\n",), 1, r"damaged at surprise\?: "),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(path: tuple[str | int, ...], value: Any, said: str) -> None:
    refuse(changed(*path, value=value), said)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '"card"', "[" * 100_000, '{"card_version": ' * 50_000, "x" * 2_000_000, "{", "NaN"]
)
def test_what_is_no_card_at_all_is_refused(text: str) -> None:
    refuse(text)


def test_a_key_that_comes_twice_is_refused() -> None:
    refuse(json.dumps(CARD).replace('"name": "darkness"', '"name": "darkness", "name": "other"', 1))


def test_a_version_that_is_no_number_is_shown_short_and_on_one_line() -> None:
    with pytest.raises(ModelError, match="model card version x") as caught:
        parse_card(changed("card_version", value="x" * 100_000 + "\n"), "part.onnx")
    assert len(str(caught.value)) < 300


def with_scores(scores: np.ndarray, rate: float) -> dict[str, Any]:
    """The card calibrated on other scores."""
    wide = scores.astype(np.float64)
    spread = {"mean": wide.mean(), "std": wide.std(), "lowest": wide.min(), "highest": wide.max()}
    return CARD | {
        "calibration": json.loads(calibrate(scores, rate).model_dump_json()),
        "reference": CARD["reference"] | {"score": {name: float(value) for name, value in spread.items()}},
    }


SCORES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(1, 0.1, n),
    "heavy": lambda rng, n: rng.pareto(1.5, n),
    "equal": lambda rng, n: np.full(n, 0.7),
    "few values": lambda rng, n: rng.integers(0, 3, n).astype(np.float64),
    "negative": lambda rng, n: -rng.exponential(1, n),
    "float32": lambda rng, n: rng.normal(1, 0.1, n).astype(np.float32),
    "tiny": lambda rng, n: rng.exponential(1e-20, n),
    "large": lambda rng, n: rng.exponential(1e20, n),
}


@pytest.mark.parametrize("rate", [1e-9, 0.0001, 0.001, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("count", [3, 4, 9, 19, 20, 60, 999, 1000, MAX_SCORES_KEPT, MAX_SCORES_KEPT + 1, 20_000])
def test_whatever_calibrate_writes_is_read_again(count: int, rate: float) -> None:
    rng = np.random.default_rng(count)
    for name, draw in SCORES.items():
        card = with_scores(draw(rng, count), rate)
        read = parse_card(json.dumps(card), name)
        assert read.calibration.model_dump(mode="json") == card["calibration"], name


@pytest.mark.parametrize("count", [60, 20_000])
@pytest.mark.parametrize(
    ("field", "factor"), [("start", 3.0), ("scale", 1000.0), ("mass", 0.5), ("shape", -1.0), ("shape", 100.0)]
)
def test_a_tail_that_its_scores_do_not_give_is_refused(count: int, field: str, factor: float) -> None:
    card = with_scores(np.random.default_rng(1).normal(1, 0.1, count), 1e-6)
    tail = card["calibration"]["tail"]
    tail[field] *= factor
    if field != "shape":  # with a threshold that fits it
        ratio = 1e-6 / tail["mass"]
        card["calibration"]["threshold"] = tail["start"] + tail["scale"] / tail["shape"] * (ratio ** -tail["shape"] - 1)
    refuse(json.dumps(card))


@pytest.mark.parametrize("value", [NAN, INFINITY, 0.0, -1e308])
def test_a_threshold_that_a_grid_of_scores_does_not_give_is_refused(value: float) -> None:
    card = with_scores(np.random.default_rng(1).normal(1, 0.1, 20_000), 0.001)
    card["calibration"]["threshold"] = value
    refuse(json.dumps(card))


def test_a_card_made_in_python_is_checked_as_well() -> None:
    with pytest.raises(ValueError, match="control characters"):
        Card.model_validate(parse_card(json.dumps(CARD), "").model_dump() | {"name": "a\nb"})


def test_a_card_keeps_its_sense_when_its_scores_move_with_its_threshold() -> None:
    assert parse_card(json.dumps(with_threshold(CARD, 0.75)), "").threshold == 0.75
