"""What the report says about the threshold, and what it warns of."""

import math
from pathlib import Path

from andon_monitor.model.calibration import DEFAULT_RATES, needed_for, needed_to_support, supported_rate
from andon_monitor.model.card import Card, Training

from andon_trainer.data.audit import Audit
from andon_trainer.data.batches import Batch
from andon_trainer.data.splits import MIN_BATCHES
from andon_trainer.evaluation import Evaluation
from andon_trainer.fitting import MAX_RESERVED_SECONDS
from andon_trainer.report.words import left_out_note, number_of, percent, range_sentence
from andon_trainer.training.ensemble import MAX_NETWORKS, STEPS_PER_NETWORK

# The report warns of a kind of defect where a smaller share than this is found.
MIN_DETECTION_RATE = 0.5
BLANK_NAMED = 3


def explain_threshold(card: Card) -> str:
    """How the threshold was set and what its false-alarm rate means."""
    calibration = card.calibration
    rate = percent(calibration.false_alarm_rate)
    within = f" {range_sentence(calibration)}" if calibration.range else ""
    images = f"{number_of(calibration.count, 'good image')} that the network was not trained on"
    if calibration.method == "tail":
        return (
            f"It was estimated from {images}. These are too few to count a false-alarm rate of {rate}, so the trend of "
            f"their highest scores was continued to the score that {rate} of good parts would exceed (generalised "
            f"Pareto tail).{within}"
        )
    return (
        f"It was counted on {images}: on average {rate} of good parts are called defects, as long as the line makes "
        f"parts like these (conformal quantile).{within}" + _promise_of_several(card.training)
    )


def _promise_of_several(training: Training) -> str:
    """What the false-alarm rate means for the mean of several networks."""
    if training.networks == 1:
        return ""
    if not training.common_images:
        return " The rate holds for each network alone; their mean usually calls fewer good parts defects."
    return (
        " With several networks the rate holds nearly: each image was scored by the network that was trained without "
        f"it, corrected to what the mean of all would say by {training.common_images:,} images that none was trained "
        "on."
    )


def warnings(card: Card, evaluation: Evaluation | None) -> list[str]:
    """What users of this model should know first, the most serious at the top."""
    calibration = card.calibration
    found = []
    if evaluation is not None and (alarms := evaluation.false_alarms) and alarms.low > calibration.false_alarm_rate:
        found.append(
            f"{alarms.flagged} of {alarms.count} good test images were called defects ({percent(alarms.share)}). The "
            f"threshold was set for {percent(calibration.false_alarm_rate)}, and this is too many to be chance. "
            "These images seem to differ from those that the threshold was set on: fit on images of both, or set a "
            "new threshold on good images from the line with “andon-trainer calibrate”."
        )
    if evaluation is not None:
        missed = [kind for kind in evaluation.kinds if kind.detection.share < MIN_DETECTION_RATE]
        if missed:
            names = ", ".join(f"{kind.kind} ({kind.detection.flagged} of {kind.count} found)" for kind in missed)
            found.append(f"Missed more often than found at this threshold: {names}.")
    if not calibration.is_supported:
        needed = needed_for(calibration.false_alarm_rate)
        found.append(
            f"Too few images: to count a false-alarm rate of {percent(calibration.false_alarm_rate)} takes {needed:,} "
            f"held-out good images, and there are {calibration.count:,}. The threshold is estimated from their "
            "highest scores. Take the rate as an estimate, and calibrate again when there are more good images."
        )
    training = card.training
    found += data_warnings(card)
    if (one_network := one_network_note(card)) is not None:
        found.append(one_network)
    if training.ended == "budget":
        found.append(
            f"Training was cut short by the time budget after {number_of(training.iterations, 'iteration')}; "
            "a longer --budget may give a better model."
        )
    if training.ended == "interrupted":
        found.append(
            f"Training was interrupted after {number_of(training.iterations, 'iteration')}; this is the best network "
            "up to then."
        )
    if training.validation_is_calibration:
        unseen = training.calibration_images if training.networks == 1 else training.common_images
        count = training.images + unseen
        found.append(
            f"{count} images are too few to hold some out twice: the same ones decided when to stop the training and "
            "where to set the threshold. This makes it a little too low: in simulations of 20 images and more, 5 to "
            "35 % more good parts were called defects than the rate says."
        )
    return found


def data_warnings(card: Card) -> list[str]:
    """What a person should check in the images that the model was fitted on."""
    found, training = [], card.training
    if training.suspects:
        found.append(
            f"{training.suspects:,} of the good images score far above all others. They may show defects: check them, "
            "remove those that are no good parts, and fit again."
        )
    if (left_out := left_out_note(card)) is not None:
        found.append(f"{left_out}; then fit again with --keep-outliers.")
    if training.tested_twins:
        found.append(
            f"{training.tested_twins:,} good test images show the same parts as images in the training folder. "
            "The figures measured on them are better than they would be on new parts."
        )
    return found


def one_network_note(card: Card) -> str | None:
    """How more of the images would set the threshold; None where they would not support a lower rate."""
    training, held_out = card.training, card.calibration.count
    total = training.images + held_out
    if training.networks > 1 or card.architecture.get("name") != "conv-dense":
        return None
    if held_out >= needed_to_support(DEFAULT_RATES[0]) or supported_rate(total) == supported_rate(held_out):
        return None
    steps = MAX_NETWORKS * STEPS_PER_NETWORK
    seconds = steps * training.seconds / max(training.iterations, 1) + MAX_RESERVED_SECONDS
    return (
        f"One network was trained, so only {held_out:,} of {number_of(total, 'image')} set the threshold. With "
        f"--networks {MAX_NETWORKS} all of them do, and they support a rate of {percent(supported_rate(total))}: it "
        f"takes about --budget {math.ceil(seconds / 60)}m on this machine."
    )


def batches_note(audit: Audit, card: Card) -> str | None:
    """What batches of the images say of the rate on a new one; None where there are none to be seen."""
    rate = percent(card.calibration.false_alarm_rate)
    if audit.ordered:
        return (
            "The scores of held-out images follow the order of the images, as they do where days, materials or cameras "
            f"differ. Put each batch into a subfolder of its own: the threshold then allows for a new one. Now {rate} "
            "holds for batches that were learned from."
        )
    batches = audit.batches
    if batches is None:
        return None
    if not batches.whole:
        return (
            f"There are {batches.total:,} batches. Whole ones are held out only of {MIN_BATCHES} and more, none of "
            f"them larger than a third of the images. Of a new batch more than {rate} may be flagged: set the "
            "threshold again on its first parts (andon-trainer calibrate)."
        )
    worst = max(batches.each, key=lambda batch: batch.share)
    limit = "" if batches.limit is None else f" Of 10 new batches, 8 flag {percent(batches.limit)} at most."
    return (
        f"The threshold is set on {len(batches.each):,} of {batches.total:,} batches, each held out as a whole. What "
        f"the others set flags most of {batch_name(worst)}: {worst.flagged} of "
        f"{number_of(worst.images, 'image')}.{limit}"
    )


def batch_name(batch: Batch) -> str:
    """The last two parts of a batch's folder."""
    return "/".join(Path(batch.name).parts[-2:])


def blank_note(audit: Audit) -> str | None:
    """What to do about images that show nothing."""
    if not audit.blank:
        return None
    names = ", ".join(sample.path.name for sample in audit.blank[:BLANK_NAMED]) + ", ..." * (
        len(audit.blank) > BLANK_NAMED
    )
    return (
        f"{number_of(len(audit.blank), 'image')} of the good ones show nothing, their pixels are all equal ({names}). "
        "If they are no good parts, remove them and fit again."
    )


def remarks(card: Card) -> list[str]:
    """What is good to know, and no reason to worry."""
    found = []
    training = card.training
    if training.twin_groups:
        found.append(
            f"{number_of(training.twin_groups, 'group')} of images show the same part or nearly so. Each group was "
            "used either for training or for testing, never for both."
        )
    if training.ended == "early":
        found.append(
            f"Training stopped early after {number_of(training.iterations, 'iteration')}: it no longer improved."
        )
    return found
