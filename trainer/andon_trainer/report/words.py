"""What the report says in words: numbers as people write them, and what to be careful about."""

from andon_monitor.common.intervals import Rate
from andon_monitor.model.calibration import needed_for
from andon_monitor.model.card import Card, Training

from andon_trainer.evaluation import Evaluation

# Of a kind of defect that is found less often than this, the report warns.
OFTEN_MISSED = 0.5

ENDINGS = {
    "iterations": "all planned iterations were done",
    "early": "it ended early, as the validation loss had stopped falling",
    "budget": "the time budget ended it",
    "interrupted": "it was interrupted, and the network so far was kept",
}


def percent(share: float) -> str:
    """A share as a person writes it: 0.1 %, 8.33 %, 100 %; never a rounded 100 % that is not all."""
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


def how_set(card: Card) -> str:
    """How the threshold came about and what it promises."""
    calibration = card.calibration
    rate = percent(calibration.false_alarm_rate)
    images = f"Set on {calibration.count:,} good images, as scored without having learned from them,"
    if calibration.method == "tail":
        return (
            f"{images} by extrapolating their highest scores (generalised Pareto tail) to the score that {rate} of "
            "good parts would exceed."
        )
    return (
        f"{images} so that at most {rate} of good parts are called defects. This holds whatever the scores' "
        "distribution, as long as the line shows such parts as these (conformal quantile)." + of_several(card.training)
    )


def of_several(training: Training) -> str:
    """What the threshold of several networks promises of them together."""
    if training.networks == 1:
        return ""
    if not training.common_images:
        return " It is promised of each network alone; their mean flags fewer, as a rule."
    return (
        " Of several networks it holds nearly: what one alone says of an image counts as their mean would, going "
        f"by {training.common_images:,} images that none of them saw."
    )


def warnings(card: Card, evaluation: Evaluation | None) -> list[str]:
    """What whoever relies on this model should know first, the most serious at the top."""
    calibration = card.calibration
    found = []
    if evaluation is not None and (alarms := evaluation.false_alarms) and alarms.low > calibration.false_alarm_rate:
        found.append(
            f"{alarms.flagged} of {alarms.count} good test images were called defects ({percent(alarms.share)}), more "
            f"than the {percent(calibration.false_alarm_rate)} the threshold was set for, and too many to be chance. "
            "These images seem to differ from those the threshold was set on: fit on images of both, or set it again "
            "on good images from the line with “andon-trainer calibrate”."
        )
    if evaluation is not None:
        missed = [kind for kind in evaluation.kinds if kind.detection.share < OFTEN_MISSED]
        if missed:
            names = ", ".join(f"{kind.kind} ({kind.detection.flagged} of {kind.count} found)" for kind in missed)
            found.append(
                f"More often missed than found at this threshold: {names}. A higher --false-alarm-rate lowers it."
            )
    if calibration.method == "tail":
        needed = needed_for(calibration.false_alarm_rate)
        found.append(
            f"Too few images: a false-alarm rate of {percent(calibration.false_alarm_rate)} can be guaranteed with "
            f"{needed:,} held-out good images, here there are {calibration.count:,}. The threshold is "
            "extrapolated from the tail of their scores; take the rate as an estimate, and calibrate "
            "again once there are more good images."
        )
    training = card.training
    found += data_warnings(training)
    if training.ended == "budget":
        found.append(
            f"The time budget ended the training after {training.iterations:,} iterations; "
            "a longer --budget may do better."
        )
    if training.ended == "interrupted":
        found.append(
            f"The training was interrupted after {training.iterations:,} iterations; "
            "this is the network as it was at the last look that went well."
        )
    if training.validation_is_calibration:
        unseen = training.calibration_images if training.networks == 1 else training.common_images
        count = training.images + unseen
        found.append(
            f"With {count} images there were too few to hold some out twice: "
            "the same ones decided when the training stopped and where the threshold lies, which sets it a little low."
        )
    return found


def data_warnings(training: Training) -> list[str]:
    """What a person should look at in the images that were learned from."""
    found = []
    if training.suspects:
        found.append(
            f"Images among the good ones that score like no good part: {training.suspects:,}. A defect may have "
            "slipped in: look at them, take out what is no good part, and fit again."
        )
    if training.left_out:
        found.append(
            f"Held-out images that score so high that the threshold was set without them: {training.left_out:,}. "
            "Those that are good parts will be called defects; if they are, fit again with --keep-outliers."
        )
    if training.tested_twins:
        found.append(
            f"Good test images that are near-twins of images in the training folder: {training.tested_twins:,}. "
            "What was measured on them says too much good about parts never seen."
        )
    return found


def remarks(card: Card) -> list[str]:
    """What is good to know, and no reason to worry."""
    found = []
    training = card.training
    if training.twin_groups:
        found.append(
            f"Near-twins found: {training.twin_groups:,} groups of images that show the same part or nearly so. "
            "Each group was kept together, so that no image was held out whose twin was learned from."
        )
    if training.ended == "early":
        found.append(
            f"The training ended early, after {training.iterations:,} iterations: "
            "the validation loss had stopped falling."
        )
    return found
