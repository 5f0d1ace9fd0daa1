"""What each camera shows now, from its newest verdicts."""

import re
import time
from dataclasses import dataclass

from andon_monitor.inspection.frames import Outcome
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery, StoredFrame

CURVE_VERDICTS = 60  # in a camera's curve
RATE_VERDICTS = 500  # over which the share of defects is taken: at 1 % these are five defects
MAX_CAMERAS = 60  # on the page


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera. `captured_at` is in seconds since 1970; `ratios` are score / threshold, the oldest first.

    A ratio is None if the frame was uninspectable. `picture` is the newest frame that has one.
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

    @property
    def rate(self) -> float | None:
        """The share of defects among the last frames inspected."""
        return self.defects / self.inspected if self.inspected else None


@dataclass(frozen=True, slots=True)
class Cameras:
    """Those with most verdicts, by name, and the number of others."""

    shown: list[Camera]
    others: int


def cameras(store: Store, now: float | None = None) -> Cameras:
    """What each camera shows."""
    now = time.time() if now is None else now
    names, count = store.verdicts.cameras(MAX_CAMERAS)
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
    )
