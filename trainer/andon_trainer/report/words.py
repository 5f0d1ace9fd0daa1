"""Numbers and states in words: what the commands print and the report shows. No heavy imports."""

from andon_monitor.common.intervals import Rate
from andon_monitor.model.calibration import MIN_CALIBRATION_IMAGES, Calibration, needed_for
from andon_monitor.model.card import InputSpec, Training
from andon_monitor.model.mask import input_mask

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
        f"({basis(calibration)})"
    )


def basis(calibration: Calibration) -> str:
    """What a threshold's false-alarm rate rests on: counted, or estimated from too few images."""
    images = number_of(calibration.count, "image")
    if calibration.method == "conformal":
        return f"counted on {images} of good parts"
    return f"estimated from {images} of good parts, too few to count at this rate"


def few_images_note(calibration: Calibration) -> str | None:
    """What to expect of a threshold that had to be estimated; None where it was counted."""
    if calibration.method == "conformal":
        return None
    rate = percent(calibration.false_alarm_rate)
    text = (
        f"note: {number_of(calibration.count, 'good image')} are too few to count a false-alarm rate of {rate}, which "
        f"takes {needed_for(calibration.false_alarm_rate):,}; the threshold is estimated from their highest scores"
    )
    if calibration.count < MIN_CALIBRATION_IMAGES:
        text += ". With so few it is a guess: two or three times as many good parts may be called defects"
    return text
