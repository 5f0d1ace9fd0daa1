"""What each camera shows now, from its newest verdicts."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from andon_monitor.inspection.frames import Outcome
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery, StoredFrame, StoredVerdict

CURVE_VERDICTS = 60  # in a camera's curve
RATE_VERDICTS = 500  # over which the share of defects is taken: at 1 % these are five defects
MAX_CAMERAS = 60  # on the page
# A verdict that comes so much later than its frame was captured is of a recording, or of a backlog: not live.
LATE_SECONDS = 600.0
# A picture so little older than the newest verdict, and of the same outcome, still shows what the camera sees now.
BEHIND_SECONDS = 3.0
# So many pictures in a row with the very same score: two pictures that are not the same never have it.
FROZEN_VERDICTS = 10


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera. `captured_at` is in seconds since 1970; `ratios` are score / threshold, the oldest first.

    A ratio is None if the frame was uninspectable. `picture` is the newest frame that has one, `is_newest` whether the
    newest verdict is that frame's. `is_live`: the verdict came soon after the frame was captured, so that a camera
    without another one falls silent. `is_frozen`: the last pictures are all the same.
    """

    name: str
    verdict: Outcome
    reason: str | None
    captured_at: float
    age: float  # seconds
    ratio: float | None
    ratios: tuple[float | None, ...]
    defects: int
    inspected: int  # frames, including `defects`
    picture: StoredFrame | None
    claimed_at: float | None = None  # the capture time of the newest verdict where it lay in the future
    is_newest: bool = False
    is_live: bool = True
    is_frozen: bool = False
    model: str | None = None  # its name, which is that of its recipe

    @property
    def is_picture_old(self) -> bool:
        """Whether the picture shows something else than the newest verdict is about."""
        if self.picture is None or self.is_newest:
            return False
        return self.picture.verdict != self.verdict or self.captured_at - self.picture.captured_at > BEHIND_SECONDS

    @property
    def rate(self) -> float | None:
        """The share of defects among the last frames inspected."""
        return self.defects / self.inspected if self.inspected else None


@dataclass(frozen=True, slots=True)
class Cameras:
    """Those with most verdicts, by name, and the number of others."""

    shown: list[Camera]
    others: int


def cameras(store: Store, now: float | None = None, only: str = "") -> Cameras:
    """What each camera shows, or one of them."""
    now = time.time() if now is None else now
    names, count = store.verdicts.cameras(MAX_CAMERAS)
    if only in names:
        names, count = [only], 1
    return Cameras([_camera(store, name, now) for name in sorted(names, key=_natural)], count - len(names))


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key: press-2 comes before press-10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def _camera(store: Store, name: str, now: float) -> Camera:
    verdicts = store.verdicts.newest(name, RATE_VERDICTS)
    pictures = store.frames.find(FrameQuery(camera=name, with_picture=True), limit=1)
    inspected = [v.verdict for v in verdicts if v.score is not None]
    last = verdicts[0]
    return Camera(
        name=name,
        verdict=last.verdict,
        reason=last.reason,
        captured_at=last.captured_at,
        age=max(0.0, now - last.captured_at),
        ratio=last.ratio,
        ratios=tuple(v.ratio for v in reversed(verdicts[:CURVE_VERDICTS])),
        defects=inspected.count("defect"),
        inspected=len(inspected),
        picture=pictures[0] if pictures else None,
        claimed_at=last.claimed_at,
        is_newest=bool(pictures) and pictures[0].id == last.id,
        is_live=last.received_at is None or last.received_at - last.captured_at < LATE_SECONDS,
        is_frozen=_is_frozen(verdicts),
        model=last.alias,
    )


def _is_frozen(verdicts: Sequence[StoredVerdict]) -> bool:
    scores = [verdict.score for verdict in verdicts[:FROZEN_VERDICTS]]
    return len(scores) == FROZEN_VERDICTS and scores[0] is not None and len(set(scores)) == 1
