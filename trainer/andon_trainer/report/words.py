"""Numbers and states in words: what the commands print and the report shows. No heavy imports."""

from typing import TYPE_CHECKING

from andon_monitor.common.intervals import Rate
from andon_monitor.model.calibration import (
    DEFAULT_RATES,
    Calibration,
    needed_for,
    needed_to_support,
    supported_rate,
)
from andon_monitor.model.card import Card, InputSpec, Training
from andon_monitor.model.imaging import input_mask

if TYPE_CHECKING:
    from andon_trainer.latency import LatencyChoice, TimedPlan

SHIFT_PARTS = 1000  # in sentences about a rate: what many lines make in a shift
# How a training ended, by the card's `ended`.
ENDINGS = {
    "iterations": "all planned iterations were done",
    "early": "training stopped early, because it no longer improved",
    "budget": "training was cut short by the time budget",
    "interrupted": "training was interrupted; the best network so far was kept",
}


def percent(share: float) -> str:
    """A share as people write it: 0.1 %, 8.33 %, 100 %; never a rounded 100 % that is not all."""
    text = f"{100 * share:.3g}"
    return f"{'> 99.9' if text == '100' and share < 1 else text} %"


def interval(rate: Rate) -> str:
    """The 95 % interval of a rate."""
    return f"{100 * rate.low:.3g} to {100 * rate.high:.3g} %"


def duration(seconds: float) -> str:
    """Seconds as 45 s, 9 min 20 s or 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def number_of(count: int, noun: str) -> str:
    """`1 network`, `3 networks`, `1,200 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def describe_training(training: Training) -> str:
    """How many images and networks, how long, and how it ended."""
    networks = f"{number_of(training.networks, 'network')}, " if training.networks > 1 else ""
    return (
        f"{number_of(training.images, 'image')}, {networks}{number_of(training.iterations, 'iteration')} in "
        f"{duration(training.seconds)} ({ENDINGS[training.ended]})"
    )


def describe_latency(latency: "LatencyChoice") -> str:
    """Which model keeps a latency, and what a longer one would make possible."""
    text = (
        f"latency: {describe_plan(latency.chosen)}: {1000 * latency.chosen.seconds:.1f} ms a frame on one core, "
        f"{1000 * latency.limit:g} ms allowed"
    )
    if latency.better is None:
        return f"{text}; it is what fit makes without a limit"
    return f"{text}. With {1000 * latency.better.seconds:.1f} ms: {describe_plan(latency.better)}"


def describe_plan(timed: "TimedPlan") -> str:
    """Frames, encoder and networks of a model."""
    encoder = "no encoder" if timed.plan.encoder == "none" else f"encoder {timed.plan.encoder}"
    networks = f"{number_of(timed.plan.networks, 'network')} of size {timed.plan.size}"
    return f"{timed.width} x {timed.height} pixels, {encoder}, {networks}"


def describe_levels(spec: InputSpec) -> str:
    """Which values of 16-bit images become black and white."""
    return f"16-bit images: values up to {spec.black_level:,} become black, from {spec.white_level:,} on white"


def describe_mask(spec: InputSpec) -> str | None:
    """How much of its input a model looks at, and why; None without a mask."""
    masked = input_mask(spec)
    if masked is None or spec.mask is None:
        return None
    areas = (("region", len(spec.mask.regions)), ("ignored area", len(spec.mask.ignore)))
    named = " and ".join(number_of(count, noun) for noun, count in areas if count) or "an image"
    return f"the model looks at {percent(1 - float(masked.mean()))} of its input ({named})"


def describe_calibration(calibration: Calibration) -> str:
    """The threshold, its false-alarm rate, and what that rate rests on."""
    return (
        f"threshold {calibration.threshold:.3f} for a false-alarm rate of {percent(calibration.false_alarm_rate)} "
        f"({basis(calibration)}). {range_sentence(calibration)}".strip()
    )


def range_sentence(calibration: Calibration) -> str:
    """How far a line may be from the rate; empty where that cannot be told."""
    if calibration.range is None:
        return ""
    low, high = (f"{100 * share:.2g}" for share in calibration.range)
    return f"Of 10 lines with such a threshold, 8 flag {low} to {high} % of good parts."


def chosen_rate_note(calibration: Calibration) -> str:
    """Which rate was chosen where none was asked for, and what it means on a line."""
    rate, lowest = calibration.false_alarm_rate, DEFAULT_RATES[0]
    flagged = f"about {round(SHIFT_PARTS * rate):,} of {SHIFT_PARTS:,} good parts a shift will be called defects"
    chosen = f"no --false-alarm-rate was given, so {percent(rate)} is used"
    if rate > supported_rate(calibration.count):
        return f"{chosen}, the lowest at which frames that cannot be good parts are called defects: {flagged}"
    if rate == lowest:
        return f"{chosen}: {flagged}"
    return (
        f"{chosen}, the lowest that {number_of(calibration.count, 'good image')} support: {flagged}; "
        f"{needed_to_support(lowest):,} images support {percent(lowest)}"
    )


def left_out_note(card: Card) -> str | None:
    """What those left out of the calibration mean for the rate; None where there are none.

    If they are good parts, of all n scores those above the threshold are above it, and one more for the next part.
    """
    left_out, calibration = card.training.left_out, card.calibration
    if not left_out:
        return None
    worst = calibration.false_alarm_rate + (left_out + 1) / (calibration.count + left_out + 1)
    return (
        f"{number_of(left_out, 'image')} of the good ones score so high that they were not used for the threshold. If "
        f"they are good parts, up to {percent(worst)} of good parts may be called defects instead of "
        f"{percent(calibration.false_alarm_rate)}"
    )


def basis(calibration: Calibration) -> str:
    """What a threshold's false-alarm rate rests on: counted, or estimated from too few images."""
    images = number_of(calibration.count, "image")
    if calibration.method == "conformal":
        return f"counted on {images} of good parts"
    return f"estimated from {images} of good parts, too few to count at this rate"


def few_images_note(calibration: Calibration) -> str | None:
    """What a rate costs that is too low for the number of images; None where they support it."""
    if calibration.is_supported:
        return None
    rate = percent(calibration.false_alarm_rate)
    supported = percent(supported_rate(calibration.count))
    return (
        f"note: {number_of(calibration.count, 'good image')} are too few to count a false-alarm rate of {rate}, which "
        f"takes {needed_for(calibration.false_alarm_rate):,}; the threshold is estimated from their highest scores and "
        f"may miss most defects. So many support {supported}: --false-alarm-rate {supported_rate(calibration.count):g}"
    )
