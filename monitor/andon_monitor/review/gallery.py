"""Frames found in the store: filtered, newest first, page by page, and a frame's neighbours."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

from andon_monitor.inspection.frames import parse_time, rfc3339
from andon_monitor.review.labels import LABELS
from andon_monitor.review.store import Store

PAGE = 48  # frames on a page: whole rows for 2, 3, 4, 6 and 8 in a row
RATIO = "score / max(threshold, 1e-9)"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a page of frames shows; empty: everything. `since` and `until` are ISO times, `least` is score/threshold.

    `label`: one of `LABELS`, or "none" for frames without one; `defect`: the kind that people named.
    """

    camera: str = ""
    since: str = ""
    until: str = ""
    label: str = ""
    defect: str = ""
    least: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """From a page's query; what makes no sense is left aside."""
        filters = cls(**{name: query.get(name, "")[:200].strip() for name in cls.__slots__})
        sound = {
            "since": _moment(filters.since) is not None,
            "until": _moment(filters.until) is not None,
            "label": filters.label in (*LABELS, "none"),
            "least": _number(filters.least) is not None,
        }
        return replace(filters, **{name: "" for name, good in sound.items() if not good})

    def query(self, **more: object) -> str:
        """As the query of a link, with `?`; without what is empty."""
        fields = {name: value for name, value in {**asdict(self), **more}.items() if value not in ("", None)}
        return f"?{urlencode(fields)}" if fields else ""

    @property
    def any(self) -> bool:
        """Whether anything is left out."""
        return bool(self.query())


def find(store: Store, kind: str, filters: Filters, before: tuple[float, int] | None = None) -> list[Any]:
    """Up to `PAGE` + 1 frames (rows of `labelled`), newest first, older than `before` (capture time, number)."""
    where, values = _conditions(kind, filters)
    if before is not None:
        where, values = f"{where} AND (captured_at, number) < (?, ?)", [*values, *before]
    return store.connection.execute(
        f"SELECT *, {RATIO} AS ratio FROM labelled WHERE {where} ORDER BY captured_at DESC, number DESC LIMIT ?",
        [*values, PAGE + 1],
    ).fetchall()


def count(store: Store, kind: str, filters: Filters) -> int:
    """How many frames there are in all."""
    where, values = _conditions(kind, filters)
    table = "labelled" if filters.label or filters.defect else "frames"  # the view looks up a label for each frame
    found: int = store.connection.execute(f"SELECT count(*) FROM {table} WHERE {where}", values).fetchone()[0]
    return found


def frame(store: Store, frame_id: str) -> Any:
    """One frame (a row of `labelled`), None where there is none of this id."""
    return store.connection.execute(f"SELECT *, {RATIO} AS ratio FROM labelled WHERE id = ?", (frame_id,)).fetchone()


def neighbours(store: Store, shown: Any, filters: Filters) -> tuple[str | None, str | None]:
    """Ids of the next newer and the next older frame of the same kind under the same filters."""
    where, values = _conditions(shown["kind"], filters)
    place = [shown["captured_at"], shown["number"]]
    found = []
    for sign, order in ((">", "ASC"), ("<", "DESC")):
        row = store.connection.execute(
            f"SELECT id FROM labelled WHERE {where} AND (captured_at, number) {sign} (?, ?) "
            f"ORDER BY captured_at {order}, number {order} LIMIT 1",
            [*values, *place],
        ).fetchone()
        found.append(None if row is None else row["id"])
    return found[0], found[1]


def cameras(store: Store) -> list[str]:
    """The cameras that frames are from."""
    rows = store.connection.execute("SELECT DISTINCT camera FROM frames ORDER BY camera LIMIT 500")
    return [row["camera"] for row in rows]


def _conditions(kind: str, filters: Filters) -> tuple[str, list[Any]]:
    parts: dict[str, Any] = {"kind = ?": kind}
    if filters.camera:
        parts["camera = ?"] = filters.camera
    if filters.since:
        parts["captured_at >= ?"] = _moment(filters.since)
    if filters.until:
        parts["captured_at < ?"] = _moment(filters.until)
    if filters.least:
        parts[f"{RATIO} >= ?"] = _number(filters.least)
    if filters.defect:
        parts["defect = ?"] = filters.defect
    if filters.label:
        parts["label IS ?"] = None if filters.label == "none" else filters.label
    return " AND ".join(parts), list(parts.values())


def minute(text: str) -> str:
    """An ISO time as a browser's field for times takes it, in UTC; "" for none."""
    moment = _moment(text)
    return "" if moment is None else rfc3339(moment)[:16]


def _moment(text: str) -> float | None:
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
