"""Another threshold for a model file, such as from the scores on its own card: no image, no training, no onnx."""

import math
from typing import Any

from andon_monitor.errors import ModelError, UsageError
from andon_monitor.model.calibration import MAX_RATE, MIN_RATE, Calibration, calibrate
from andon_monitor.model.card import CARD_KEY, GOLDEN_KEY, Card, parse_card
from andon_monitor.model.file import NO_CARD
from andon_monitor.model.golden import Golden, judge
from andon_monitor.model.graph_check import check_graph
from andon_monitor.model.onnx_format import ModelProto

BISECTIONS = 48  # of the logarithm of the rate: far finer than the digits that are kept
RATE_DIGITS = 4
# Metrics of a card that depend on the threshold; the others are of the scores alone.
THRESHOLD_METRICS = ("false_alarm_rate", "detection_rate")


def with_rate(content: bytes, path: str, rate: float) -> tuple[bytes, Card]:
    """A model file's content with the threshold for another false-alarm rate, and its card; see `with_calibration`.

    The threshold comes from the scores on the card: of more than `calibration.MAX_SCORES_KEPT` calibration images the
    card has so many quantiles, and the threshold is that of these. Raises UsageError for a rate that cannot be asked
    for, and ModelError.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UsageError(f"false-alarm rate {rate:g}: give one between {MIN_RATE:g} and {MAX_RATE:g}")
    card, _ = _read(content, path)
    metrics = {name: value for name, value in card.metrics.items() if name not in THRESHOLD_METRICS}
    return with_calibration(content, path, calibrate(card.calibration.scores, rate), metrics=metrics)


def with_calibration(content: bytes, path: str, new: Calibration, **changes: Any) -> tuple[bytes, Card]:
    """A model file's content with another calibration and other `changes` of its card, and the card.

    Graph, weights and golden frames stay the same, so every score does; the card records what the new threshold makes
    of the golden frames, and no longer what was counted on test images. `path` names the file in errors. Raises
    ModelError.
    """
    card, golden = _read(content, path)
    outcomes = judge(golden.scores, new.threshold)
    changed = card.model_copy(update={"calibration": new, "golden_outcomes": outcomes, "tested": None} | changes)
    text = changed.model_dump_json()
    file = ModelProto.FromString(content)
    for entry in file.metadata_props:
        if entry.key == CARD_KEY:
            entry.value = text
    written: bytes = file.SerializeToString(deterministic=True)
    return written, parse_card(text, path)


def _read(content: bytes, path: str) -> tuple[Card, Golden]:
    metadata = check_graph(content, path).metadata
    if CARD_KEY not in metadata or GOLDEN_KEY not in metadata:
        raise ModelError(f"{path}: {NO_CARD}")
    card = parse_card(metadata[CARD_KEY], path)
    spec = card.input
    try:
        return card, Golden.unpack(metadata[GOLDEN_KEY], (spec.height, spec.width, spec.channels))
    except ValueError as error:
        raise ModelError(f"{path}: its golden frames are damaged ({error})") from None


def rate_of(calibration: Calibration, threshold: float) -> float:
    """The false-alarm rate whose threshold is the lowest that is not below `threshold`, to `RATE_DIGITS` digits.

    Raises UsageError for a threshold that the calibration scores give for no rate.
    """

    def gives(rate: float) -> float:
        return calibrate(calibration.scores, rate).threshold

    highest, lowest = gives(MIN_RATE), gives(MAX_RATE)
    if not lowest <= threshold <= highest:
        raise UsageError(
            f"threshold {threshold:g}: the {calibration.count} calibration scores give {lowest:.4g} to {highest:.4g}"
        )
    low, high = math.log(MIN_RATE), math.log(MAX_RATE)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if gives(math.exp(middle)) >= threshold else (low, middle)
    digits = RATE_DIGITS - 1 - math.floor(low / math.log(10))
    # Rounded down: the threshold never rises with the rate, so it is not below the one asked for.
    return max(MIN_RATE, math.floor(math.exp(low) * 10**digits) / 10**digits)
