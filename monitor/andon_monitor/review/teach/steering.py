"""What confirmed defects say about the threshold of a refit, beyond the false-alarm rate that it was set for."""

from collections.abc import Sequence
from dataclasses import dataclass

from andon_monitor.model.calibration import MAX_RATE, MIN_RATE, calibrate
from andon_monitor.model.card import Card
from andon_monitor.model.recalibration import with_rate

# Rates that are tried, as shares of the rate of the model on the line, the lowest first.
LOWER, HIGHER = (0.1, 0.2, 0.5), (2.0, 5.0)
# Defects that the new model finds: where a higher threshold loses none of so many, it loses at most one in seven
# (95 % confidence).
MIN_FOUND = 20
MAX_RATE_NAMED = 0.2  # more false alarms than that nobody wants
MIN_GAIN = 0.1  # share of all defects that a higher rate has to find in addition, to be named


@dataclass(frozen=True)
class Steered:
    """A model file's content with the threshold that defects and rate give, and why, in one sentence."""

    content: bytes
    sentence: str


def steer(content: bytes, path: str, card: Card, defects: Sequence[float]) -> Steered:
    """Choose the lowest false-alarm rate at which no defect is lost that is found at the card's own rate.

    `defects`: scores of confirmed defects. More false alarms than the engineer asked for are never chosen, only named.
    Raises ModelError.
    """
    own = card.calibration
    found = [score for score in defects if score > own.threshold]
    at, so_many = f"{_percent(own.false_alarm_rate)} false alarms", f"{len(found)} of {len(defects)} confirmed defects"
    if len(found) >= MIN_FOUND:
        rates = [float(f"{max(MIN_RATE, share * own.false_alarm_rate):.3g}") for share in LOWER]
        others = [other for other in (calibrate(own.scores, rate) for rate in rates) if other.is_supported]
        for other in others:
            if min(found) > other.threshold > own.threshold:
                rate = other.false_alarm_rate
                why = f"instead of {_percent(own.false_alarm_rate)}: it finds the same {so_many}"
                return Steered(
                    with_rate(content, path, rate)[0],
                    f"The threshold is set for {_percent(rate)} false alarms {why}.",
                )
        why = "a higher one loses confirmed defects" if others else "the good parts are too few for a lower rate"
        return Steered(content, f"The threshold is set for {at}: {why}.")
    for rate in (factor * own.false_alarm_rate for factor in HIGHER):
        more = sum(score > calibrate(own.scores, min(rate, MAX_RATE)).threshold for score in defects)
        if rate <= MAX_RATE_NAMED and more - len(found) >= max(2, MIN_GAIN * len(defects)):
            hint = f"At {_percent(rate)} it would find {more}: after taking over, slide the threshold"
            return Steered(content, f"The threshold is set for {at} and finds {so_many}. {hint}.")
    why = f"it finds {so_many}, and fewer than {MIN_FOUND} say no more"
    return Steered(content, f"The threshold is set for {at}: {why}.")


def _percent(rate: float) -> str:
    return f"{100 * rate:.2g} %"
