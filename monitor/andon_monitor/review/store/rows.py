"""What queries of the store return. Times are in seconds since 1970."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from andon_monitor.formats.evidence_package import Kind
from andon_monitor.inspection.frames import Outcome, Position

Label = Literal["confirmed", "false alarm", "unsure"]
LABELS: tuple[Label, ...] = get_args(Label)

CLOCK_TOLERANCE_SECONDS = 60.0  # a camera's clock may be ahead of this machine's
MIN_DIVISOR = 1e-9  # stands for a threshold of 0 or below, which no score can be divided by


def within_present(captured_at: float, now: float) -> tuple[float, float | None]:
    """A capture time to show and sort by, and the claimed one where that lies in the future and is not believed."""
    return (captured_at, None) if captured_at <= now + CLOCK_TOLERANCE_SECONDS else (now, captured_at)


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame with its evidence and its present label.

    `kind`: why it is kept. `bytes`: size of its package, 0 if there is none (any more). `label`, `defect_kind`: None
    for none.
    """

    number: int  # in order of arrival
    id: str
    kind: Kind
    camera: str
    captured_at: float
    verdict: Outcome
    score: float
    threshold: float
    p_value: float | None
    alias: str
    sha256: str  # of the model
    topic: str
    partition: int
    offset: int
    file: str | None
    bytes: int
    received_at: float
    label: Label | None
    defect_kind: str | None
    claimed_at: float | None = None  # see `within_present`
    event: int | None = None  # its index in a record with a batch of events
    part: str | None = None  # JSON, as in verdicts
    regions: str | None = None  # JSON, as in verdicts

    @property
    def identity(self) -> dict[str, str | int]:
        """What is known about the part, as in verdicts; {} for nothing."""
        known: dict[str, str | int] = json.loads(self.part) if self.part else {}
        return known

    @property
    def where(self) -> list[dict[str, Any]]:
        """The regions of a defect, as in verdicts."""
        found: list[dict[str, Any]] = json.loads(self.regions) if self.regions else []
        return found

    @property
    def place(self) -> dict[str, str | int]:
        """As `frame` of verdicts and labels."""
        return Position("", self.topic, self.partition, self.offset, event=self.event).to_dict()

    @property
    def ratio(self) -> float:
        """Score / threshold."""
        return self.score / max(self.threshold, MIN_DIVISOR)


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict; `score` is None if the frame was uninspectable, for `reason`."""

    id: str
    captured_at: float
    verdict: Outcome
    reason: str | None
    score: float | None
    threshold: float
    claimed_at: float | None = None  # see `within_present`
    received_at: float | None = None  # None where an earlier version kept it
    alias: str | None = None  # of the model, likewise

    @property
    def ratio(self) -> float | None:
        """Score / threshold."""
        return None if self.score is None else self.score / max(self.threshold, MIN_DIVISOR)


@dataclass(frozen=True, slots=True)
class StoredPart:
    """The newest verdict of a part. `ended_at` is the time of its last view."""

    part_id: str
    product: str | None
    verdict: str
    reason: str | None
    revision: int
    ended_at: float
    facts: str  # JSON: views and the names of those that are missing

    @property
    def views(self) -> list[dict[str, str]]:
        """Name, camera, verdict and id of each view."""
        found: list[dict[str, str]] = json.loads(self.facts)["views"]
        return found

    @property
    def missing(self) -> list[str]:
        """Names of views that did not come in time."""
        found: list[str] = json.loads(self.facts)["missing"]
        return found


@dataclass(frozen=True, slots=True)
class PartQuery:
    """Which parts are wanted; None or empty: any. `part` is the part's id."""

    verdict: str = ""
    part: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class LabelledScore:
    """The score and the verdict of a frame, and its label if it has one."""

    score: float
    verdict: Outcome
    label: Label | None


@dataclass(frozen=True, slots=True)
class AlarmCount:
    """How many alarms of a day (whole days since 1970, UTC) have a label."""

    day: int
    label: Label | None
    frames: int


@dataclass(frozen=True, slots=True)
class LabelStep:
    """One entry of a frame's label history; `label` and `kind` (of defect) are the state after it, None for none."""

    number: int  # over all frames
    id: str  # of the frame
    step: Literal["label", "undo"]
    label: Label | None
    kind: str | None
    who: str
    at: float


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model whose card is known; `card` is JSON."""

    sha256: str
    alias: str
    card: str
    seen_at: float | None = None


# What happened to a change, and what kind of change it is.
Step = Literal["applied", "proposed", "rejected", "found"]
# Of a set-up ("set up") and of a line's settings file ("recipes") `new` is the sha256 of something else than a model.
Action = Literal["threshold", "roll back", "undo", "refit", "replaced outside", "deploy", "set up", "recipes"]


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history of model files.

    `found`: the file was replaced by somebody else, `who` is "". `file` is the name of the model file's recipe or
    alias; `old` and `new` are the sha256 of its content, `old` None for a file that had not been seen before. `about`:
    the proposal that was applied or rejected, or the change that was undone.
    """

    number: int
    at: float
    who: str
    step: Step
    action: Action
    file: str
    old: str | None
    new: str
    why: str
    about: int | None = None

    @property
    def is_of_model(self) -> bool:
        """Whether `new` is the content of a model file."""
        return self.action not in ("set up", "recipes")


@dataclass(frozen=True, slots=True)
class ModelUse:
    """The model of a camera's newest verdict, and the threshold that it used."""

    camera: str
    sha256: str
    threshold: float
    captured_at: float


@dataclass(frozen=True, slots=True)
class Span:
    """What is known of some models' verdicts: capture times of the first and the last, how many, the highest score."""

    first: float
    last: float
    frames: int
    highest: float


@dataclass(frozen=True, slots=True)
class ThresholdEffect:
    """What another threshold does to a camera's verdicts; counts of frames that were inspected."""

    camera: str
    frames: int
    flagged: int  # as the verdicts say
    would_flag: int
    added: int  # flagged only by the other threshold
    removed: int  # flagged only as the verdicts say


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a topic has been read or written: `next` is the offset that comes next in this partition."""

    topic: str
    partition: int
    next: int


@dataclass(frozen=True, slots=True)
class FrameQuery:
    """Which frames are wanted; None or empty: any. `until` is exclusive, `min_ratio` is score / threshold.

    `part` is the part's id. `labels` are alternatives; None among them stands for frames without a label.
    """

    kind: Kind | None = None
    camera: str | None = None
    part: str | None = None
    product: str | None = None
    since: float | None = None
    until: float | None = None
    received_before: float | None = None
    min_ratio: float | None = None
    labels: Sequence[Label | None] = ()
    defect_kind: str | None = None
    sha256: str | None = None
    models: Sequence[str] = ()  # sha256 of any of these
    with_picture: bool = False
