"""What labels amount to: how many alarms were right, week by week, and what another threshold would have done."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from andon_monitor.common.intervals import Rate, rate
from andon_monitor.errors import ModelError
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.card import Card, parse_card
from andon_monitor.review.store import Store

WEEKS = 12
RATES = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
SAMPLES = 12


@dataclass(frozen=True, slots=True)
class Week:
    """The labelled alarms of one ISO week, by capture time."""

    name: str
    confirmed: int
    false_alarms: int
    unsure: int
    unlabelled: int

    @property
    def precision(self) -> Rate | None:
        """The share of defects among the alarms that were judged."""
        return rate(self.confirmed, self.confirmed + self.false_alarms)


@dataclass(frozen=True, slots=True)
class Cut:
    """What a threshold would have done to the labelled frames of a model."""

    threshold: float
    false_alarm_rate: float | None  # that it is set for; None for one that was typed in
    caught: int
    missed: int
    false_alarms: int
    spared: int
    current: bool = False


def weeks(store: Store) -> list[Week]:
    """The last weeks that had alarms, the newest first."""
    counts: dict[str, dict[str | None, int]] = {}
    rows = store.connection.execute(
        "SELECT CAST(captured_at / 86400 AS INTEGER) AS day, label, count(*) AS frames FROM labelled "
        "WHERE kind = 'defect' GROUP BY day, label ORDER BY day DESC"
    )
    for row in rows:
        year, week, _ = datetime.fromtimestamp(86_400 * row["day"], UTC).isocalendar()
        name = f"{year}-W{week:02}"
        if name not in counts and len(counts) == WEEKS:
            break
        found = counts.setdefault(name, {})
        found[row["label"]] = found.get(row["label"], 0) + row["frames"]
    return [
        Week(name, n.get("confirmed", 0), n.get("false alarm", 0), n.get("unsure", 0), n.get(None, 0))
        for name, n in counts.items()
    ]


def judged(store: Store, sha256: str) -> list[tuple[float, bool]]:
    """(score, whether it is a defect) of each frame of a model that was labelled for sure."""
    rows = store.connection.execute(
        "SELECT score, label FROM labelled WHERE sha256 = ? AND label IN ('confirmed', 'false alarm') ORDER BY score",
        (sha256,),
    )
    return [(row["score"], row["label"] == "confirmed") for row in rows]


def cut(frames: list[tuple[float, bool]], threshold: float, share: float | None = None, current: bool = False) -> Cut:
    """What a threshold does to labelled frames, as `judged` gives them."""
    caught = sum(score > threshold for score, defect in frames if defect)
    alarms = sum(score > threshold for score, defect in frames if not defect)
    defects = sum(defect for _, defect in frames)
    return Cut(threshold, share, caught, defects - caught, alarms, len(frames) - defects - alarms, current)


def cuts(frames: list[tuple[float, bool]], card: Card) -> list[Cut]:
    """The thresholds that other false-alarm rates would have, by the model's calibration, and the one it has.

    A rate that can be measured and a lower one that has to be extrapolated may contradict each other: of two thresholds
    in the wrong order the higher rate's is left out.
    """
    calibration, present = card.calibration, card.calibration.false_alarm_rate
    found = [cut(frames, card.threshold, present, current=True)]
    others = [(share, calibrate(calibration.scores, share).threshold) for share in RATES]
    for share, threshold in reversed(others):
        if share < present and threshold > found[0].threshold:
            found.insert(0, cut(frames, threshold, share))
    for share, threshold in others:
        if share > present and threshold < found[-1].threshold:
            found.append(cut(frames, threshold, share))
    return found


def models(store: Store) -> list[tuple[str, str, Card]]:
    """(sha256, alias, card) of each model known, the newest first."""
    rows = store.connection.execute("SELECT * FROM models ORDER BY seen_at DESC LIMIT 20")
    found = []
    for row in rows:
        with suppress(ModelError):  # written by another version of this program
            found.append((row["sha256"], row["alias"], parse_card(row["card"], row["alias"])))
    return found


def examples(store: Store, sha256: str) -> list[tuple[str, list[Any]]]:
    """Frames of a model: what is good to it, what nearly is not, what is not."""
    found = []
    for kind, title in (
        ("good", "Good"),
        ("borderline", "Just under the threshold"),
        ("defect", "Above the threshold"),
    ):
        rows = store.connection.execute(
            "SELECT *, score / max(threshold, 1e-9) AS ratio FROM labelled WHERE kind = ? AND sha256 = ? AND bytes > 0 "
            "ORDER BY captured_at DESC LIMIT ?",
            (kind, sha256, SAMPLES // 2),
        ).fetchall()
        found.append((title, rows))
    return found
