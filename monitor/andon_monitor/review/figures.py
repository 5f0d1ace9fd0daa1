"""What labels tell: how many alarms were right, week by week, and what another threshold would have done."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from andon_monitor.common.intervals import Rate, rate
from andon_monitor.errors import ModelError
from andon_monitor.formats.evidence_package import Kind
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.card import Card, parse_card
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery, Label, LabelledScore, StoredFrame

WEEKS_SHOWN = 12
MODELS_SHOWN = 20
EXAMPLES_SHOWN = 6  # frames of each kind
DAY_SECONDS = 86_400
# Of good parts; the table has a threshold for each.
FALSE_ALARM_RATES = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
KIND_TITLES: dict[Kind, str] = {
    "good": "Good",
    "borderline": "Just under the threshold",
    "defect": "Above the threshold",
}


@dataclass(frozen=True, slots=True)
class Week:
    """How the alarms of one ISO week, by capture time, were labelled."""

    name: str
    confirmed: int
    false_alarms: int
    unsure: int
    unlabelled: int

    @property
    def precision(self) -> Rate | None:
        """The share of defects among the alarms that were confirmed or called false."""
        return rate(self.confirmed, self.confirmed + self.false_alarms)


@dataclass(frozen=True, slots=True)
class ThresholdOutcome:
    """What a threshold would do to the labelled frames of a model.

    `false_alarm_rate`: the rate it is set for, None for a threshold that a visitor typed.
    """

    threshold: float
    false_alarm_rate: float | None
    defects_found: int
    defects_missed: int
    false_alarms: int
    good_passed: int
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that frames were judged by."""

    sha256: str
    alias: str
    card: Card


@dataclass(frozen=True, slots=True)
class Examples:
    """Some frames of one kind."""

    title: str
    frames: Sequence[StoredFrame]


def count_weeks(store: Store) -> list[Week]:
    """The last weeks that had alarms, the newest first."""
    weeks: dict[str, dict[Label | None, int]] = {}
    for count in store.frames.count_alarms():
        year, week, _ = datetime.fromtimestamp(DAY_SECONDS * count.day, UTC).isocalendar()
        name = f"{year}-W{week:02}"
        if name not in weeks and len(weeks) == WEEKS_SHOWN:
            break
        by_label = weeks.setdefault(name, {})
        by_label[count.label] = by_label.get(count.label, 0) + count.frames
    return [
        Week(name, n.get("confirmed", 0), n.get("false alarm", 0), n.get("unsure", 0), n.get(None, 0))
        for name, n in weeks.items()
    ]


def apply_threshold(
    frames: Sequence[LabelledScore], threshold: float, false_alarm_rate: float | None = None, is_current: bool = False
) -> ThresholdOutcome:
    """What a threshold does to frames that are labelled as a defect or not; see `FrameTable.decided_scores`."""
    defects = [frame.score for frame in frames if frame.label == "confirmed"]
    good = [frame.score for frame in frames if frame.label != "confirmed"]
    found = sum(score > threshold for score in defects)
    alarms = sum(score > threshold for score in good)
    return ThresholdOutcome(
        threshold, false_alarm_rate, found, len(defects) - found, alarms, len(good) - alarms, is_current
    )


def compare_thresholds(frames: Sequence[LabelledScore], card: Card) -> list[ThresholdOutcome]:
    """The thresholds for other false-alarm rates, by the model's calibration, and its own; the highest first.

    A rate whose threshold is no other than its neighbour's is left out.
    """
    calibration, own_rate = card.calibration, card.calibration.false_alarm_rate
    outcomes = [apply_threshold(frames, card.threshold, own_rate, is_current=True)]
    others = [(share, calibrate(calibration.scores, share).threshold) for share in FALSE_ALARM_RATES]
    for share, threshold in reversed(others):
        if share < own_rate and threshold > outcomes[0].threshold:
            outcomes.insert(0, apply_threshold(frames, threshold, share))
    for share, threshold in others:
        if share > own_rate and threshold < outcomes[-1].threshold:
            outcomes.append(apply_threshold(frames, threshold, share))
    return outcomes


def known_models(store: Store) -> list[KnownModel]:
    """The models whose card is known, the newest first."""
    models = []
    for model in store.models.newest(MODELS_SHOWN):
        with suppress(ModelError):  # written by another version of this program
            models.append(KnownModel(model.sha256, model.alias, parse_card(model.card, model.alias)))
    return models


def find_examples(store: Store, sha256: str) -> list[Examples]:
    """The newest frames of a model with a picture, by kind."""
    return [
        Examples(
            title,
            store.frames.find(FrameQuery(kind=kind, sha256=sha256, with_picture=True), limit=EXAMPLES_SHOWN),
        )
        for kind, title in KIND_TITLES.items()
    ]
