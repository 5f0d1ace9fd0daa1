"""Whether a model is good enough to run: what it calls good that cannot be, and how many defects it finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from andon_monitor.common.intervals import Rate, rate
from andon_monitor.model.card import Card, Probe, Training

MIN_TEST_DEFECTS = 10  # test images of defects, from which on they tell more than made-up defects
# Of the defects: with a smaller share found a model is not good enough to run at all, or only beside other inspection.
MIN_FOUND, ENOUGH_FOUND = 0.5, 0.8
# With fewer, made-up defects prove nothing: a network that has hardly learned anything calls whatever is new a defect,
# and so few good parts do not show what is usual. On magnetic tiles a network was as good as ever from 700 steps on.
MIN_ITERATIONS = 300  # for each network
MIN_GOOD_IMAGES = 30

Grade = Literal["good enough", "unknown", "limited", "not good enough"]


@dataclass(frozen=True)
class Fitness:
    """What a model is worth at a threshold.

    `passing` are impossible frames that are called good, by name: how many of how many. `found` is None where nothing
    shows how many defects are found. `missing` is what it takes to know.
    """

    grade: Grade
    passing: tuple[tuple[str, int, int], ...]
    found: Rate | None
    by_size: tuple[tuple[str, Rate], ...]  # made-up defects, the smallest first
    made_up: bool  # whether `found` is about made-up defects
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        verdict = {
            "good enough": "Good enough to run",
            "unknown": "Not known to be good enough to run",
            "limited": "Not good enough to run alone",
            "not good enough": "NOT GOOD ENOUGH TO RUN",
        }[self.grade]
        said = []
        if self.passing:
            names = ", ".join(f"{name} ({passed} of {count})" for name, passed, count in self.passing)
            said.append(f"frames that cannot be good parts are called good: {names}")
        if self.found is not None:
            kind = "made-up defects" if self.made_up else "test images of defects"
            said.append(
                f"{self.found.flagged} of {self.found.count} {kind} are found, {100 * self.found.share:.0f} % "
                f"({100 * self.found.low:.0f} to {100 * self.found.high:.0f} %)"
            )
        if self.missing:
            said.append(f"missing: {', '.join(self.missing)}")
        return f"{verdict}: {'; '.join(said)}"


def assess(card: Card, threshold: float | None = None) -> Fitness | None:
    """What a model is worth at a threshold, by default its own; None for a card that does not tell.

    Test images count where there are at least `MIN_TEST_DEFECTS` defects among them, else made-up defects, which prove
    something only of a model that was fitted long enough and to enough images. The test images are those of the card's
    own threshold.
    """
    at = card.threshold if threshold is None else threshold
    impossible = [probe for probe in card.probes if probe.kind == "impossible"]
    passing = tuple((probe.name, len(probe.scores) - _above(probe, at), len(probe.scores)) for probe in impossible)
    passing = tuple(one for one in passing if one[1])
    sizes = tuple(
        (probe.name, found) for probe in card.probes if probe.kind == "made-up" if (found := flagged([probe], at))
    )
    tested = card.tested if at == card.threshold else None
    use_tests = tested is not None and tested.defects >= MIN_TEST_DEFECTS
    if use_tests and tested is not None:
        found = rate(tested.found, tested.defects)
    else:
        found = flagged([probe for probe in card.probes if probe.kind == "made-up"], at)
    if found is None and not impossible:
        return None
    grade = _grade(passing, found)
    missing = () if use_tests or grade != "good enough" else _missing(card)
    return Fitness("unknown" if missing else grade, passing, found, sizes, not use_tests, missing)


def flagged(probes: Sequence[Probe], threshold: float) -> Rate | None:
    """How many frames of these are called defects; None without any."""
    return rate(sum(_above(probe, threshold) for probe in probes), sum(len(probe.scores) for probe in probes))


def _above(probe: Probe, threshold: float) -> int:
    return sum(score > threshold for score in probe.scores)


def _grade(passing: Sequence[tuple[str, int, int]], found: Rate | None) -> Grade:
    if passing or (found is not None and found.share < MIN_FOUND):
        return "not good enough"
    if found is not None and (found.share < ENOUGH_FOUND or found.low < MIN_FOUND):
        return "limited"
    return "good enough"


def is_hardly_trained(training: Training) -> bool:
    """Whether a training was ended before its networks can have learned much."""
    return training.ended != "early" and training.iterations < MIN_ITERATIONS * training.networks


def _missing(card: Card) -> tuple[str, ...]:
    """What it takes to know that a model is good enough; empty where made-up defects show it."""
    training, found = card.training, []
    if is_hardly_trained(training):
        found.append(
            f"training steps ({training.iterations} done, {MIN_ITERATIONS * training.networks} or more needed)"
        )
    unseen = training.calibration_images if training.networks == 1 else training.common_images
    images = training.images + unseen
    if images < MIN_GOOD_IMAGES:
        found.append(f"good images ({images} given, {MIN_GOOD_IMAGES} or more needed)")
    return (*found, f"test images of {MIN_TEST_DEFECTS} defects or more") if found else ()
