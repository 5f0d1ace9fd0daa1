"""What each camera is doing now, from the newest verdicts."""

import re
import time
from dataclasses import dataclass

from andon_monitor.review.store import Store

CURVE = 60  # verdicts in a camera's curve
RATE_OVER = 500  # verdicts over which a defect rate is taken: at 1 % five defects
CAMERAS = 60


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera. Times are in seconds since 1970; `ratios` are scores over thresholds, the oldest first.

    `picture` is the id of the newest frame that has one, taken at `picture_at`.
    """

    name: str
    verdict: str
    reason: str | None
    captured_at: float
    age: float  # seconds
    ratio: float | None
    ratios: tuple[float | None, ...]
    defects: int
    inspected: int  # of which `defects` are defects
    picture: str | None
    picture_at: float | None
    picture_verdict: str | None

    @property
    def rate(self) -> float | None:
        """The share of defects among the last frames inspected."""
        return self.defects / self.inspected if self.inspected else None


def cameras(store: Store, now: float | None = None) -> list[Camera]:
    """Every camera, by name."""
    now = time.time() if now is None else now
    # One look into the index for each camera, instead of a walk through all its verdicts.
    names = store.connection.execute(
        """WITH RECURSIVE found(camera) AS (SELECT min(camera) FROM verdicts UNION ALL
        SELECT (SELECT min(camera) FROM verdicts WHERE camera > found.camera) FROM found WHERE camera IS NOT NULL)
        SELECT camera FROM found WHERE camera IS NOT NULL LIMIT ?""",
        (CAMERAS,),
    ).fetchall()
    return [_camera(store, name, now) for name in sorted((row["camera"] for row in names), key=_natural)]


def _natural(name: str) -> list[tuple[int, str]]:
    """press-2 comes before press-10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def _camera(store: Store, name: str, now: float) -> Camera:
    verdicts = store.connection.execute(
        "SELECT * FROM verdicts WHERE camera = ? ORDER BY captured_at DESC, number DESC LIMIT ?", (name, RATE_OVER)
    ).fetchall()
    last = verdicts[0]
    picture = store.connection.execute(
        "SELECT id, captured_at, verdict FROM frames WHERE camera = ? AND bytes > 0 ORDER BY captured_at DESC LIMIT 1",
        (name,),
    ).fetchone()
    ratios = [None if v["score"] is None else v["score"] / max(v["threshold"], 1e-9) for v in verdicts]
    inspected = [v["verdict"] for v in verdicts if v["score"] is not None]
    return Camera(
        name=name,
        verdict=last["verdict"],
        reason=last["reason"],
        captured_at=last["captured_at"],
        age=max(0.0, now - last["captured_at"]),
        ratio=ratios[0],
        ratios=tuple(reversed(ratios[:CURVE])),
        defects=inspected.count("defect"),
        inspected=len(inspected),
        picture=None if picture is None else picture["id"],
        picture_at=None if picture is None else picture["captured_at"],
        picture_verdict=None if picture is None else picture["verdict"],
    )
