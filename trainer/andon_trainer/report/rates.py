"""What each false-alarm rate costs and brings: a table, and what would help most where too few defects are found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from andon_monitor.common.intervals import Rate, rate
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.card import Card
from andon_monitor.model.fitness import ENOUGH_FOUND, MIN_FOUND, MIN_ITERATIONS, assess, is_hardly_trained

from andon_trainer.data.sample import GOOD
from andon_trainer.evaluation import Evaluation
from andon_trainer.report.words import number_of, percent

RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
MIN_SIZE_GAIN = 0.3  # more of the largest made-up defects found than of the smallest, from which on pixels would help


@dataclass(frozen=True)
class RateRow:
    """One false-alarm rate and what its threshold does; rates are None without such images."""

    false_alarm_rate: float
    threshold: float
    is_current: bool
    is_supported: bool
    alarms: Rate | None  # good test images flagged
    found: Rate | None  # test images of defects
    made_up: Rate | None  # made-up defects
    passing: int  # impossible frames that are called good

    @property
    def best_known(self) -> Rate | None:
        """Found test images, or else made-up defects."""
        return self.found or self.made_up


def rate_rows(card: Card, evaluation: Evaluation | None) -> list[RateRow]:
    """The usual rates and the model's own, the lowest first."""
    asked = card.calibration.false_alarm_rate
    return [_row(card, evaluation, share) for share in sorted({*RATES, asked})]


def _row(card: Card, evaluation: Evaluation | None, share: float) -> RateRow:
    current = share == card.calibration.false_alarm_rate
    calibration = card.calibration if current else calibrate(card.calibration.scores, share)
    threshold = calibration.threshold
    fitness = assess(card, threshold)
    made_up = [score for probe in card.probes if probe.kind == "made-up" for score in probe.scores]
    images = evaluation.images if evaluation else ()
    good = [image.score for image in images if image.label == GOOD]
    defects = [image.score for image in images if image.label != GOOD]

    def flagged(scores: Sequence[float]) -> Rate | None:
        return rate(int(np.sum(np.array(scores) > threshold)), len(scores))

    return RateRow(
        share,
        threshold,
        is_current=current,
        is_supported=calibration.is_supported,
        alarms=flagged(good),
        found=flagged(defects),
        made_up=flagged(made_up),
        passing=sum(passed for _, passed, _ in fitness.passing) if fitness else 0,
    )


def what_would_help(card: Card, rows: Sequence[RateRow]) -> str | None:
    """One sentence on what would help most, from what was measured; None where enough defects are found."""
    fitness = assess(card)
    if fitness is None or fitness.grade == "good enough":
        return None
    training = card.training
    if training.ended in ("budget", "interrupted") and is_hardly_trained(training):
        return (
            f"The network was hardly trained ({number_of(training.iterations, 'step')}; {MIN_ITERATIONS} and more are "
            "usual): fit again with a longer --budget."
        )
    if fitness.grade == "unknown":
        return None
    good = [row for row in rows if (known := row.best_known) and known.share >= ENOUGH_FOUND and not row.passing]
    if good:
        best = good[0]
        assert best.best_known is not None
        return (
            f"A higher rate helps: at {percent(best.false_alarm_rate)} false alarms {percent(best.best_known.share)} "
            f"are found (--false-alarm-rate {best.false_alarm_rate:g}). More good images help, too: the threshold of a "
            "low rate then lies closer to the good parts."
        )
    highest = rows[-1].best_known
    if len(fitness.by_size) > 1:
        (small, few), (large, many) = fitness.by_size[0], fitness.by_size[-1]
        if many.share - few.share >= MIN_SIZE_GAIN and many.share >= MIN_FOUND:
            return (
                f"Small defects are missed: {percent(few.share)} of those of {small} are found, {percent(many.share)} "
                f"of {large}. More pixels help: a camera that is closer, --region, or a larger --side."
            )
    at_most = f" (at {percent(rows[-1].false_alarm_rate)} false alarms {percent(highest.share)})" if highest else ""
    return (
        f"No threshold helps{at_most}: good parts differ from each other more than from defects. What helps is what "
        "makes good parts alike: a model for each variety (colour, kind), parts that lie alike, less glare; and good "
        "images of everything that varies."
    )
