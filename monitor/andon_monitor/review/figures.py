"""What labels tell: how many alarms were right, week by week, and what a threshold does to labelled frames."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from andon_monitor.common.intervals import Rate, rate
from andon_monitor.errors import ModelError
from andon_monitor.formats.evidence_package import Kind
from andon_monitor.model.card import Card, parse_card
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery, Label, LabelledScore, StoredFrame

WEEKS_SHOWN = 12
MODELS_SHOWN = 20
EXAMPLES_SHOWN = 6  # frames of each kind
DAY_SECONDS = 86_400
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
    """What a threshold would do to the labelled frames of a model."""

    threshold: float
    defects_found: int
    defects_missed: int
    false_alarms: int
    good_passed: int


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


def apply_threshold(frames: Sequence[LabelledScore], threshold: float) -> ThresholdOutcome:
    """What a threshold does to frames that are labelled as a defect or not; see `FrameTable.decided_scores`."""
    defects = [frame.score for frame in frames if frame.label == "confirmed"]
    good = [frame.score for frame in frames if frame.label != "confirmed"]
    found = sum(score > threshold for score in defects)
    alarms = sum(score > threshold for score in good)
    return ThresholdOutcome(threshold, found, len(defects) - found, alarms, len(good) - alarms)


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
