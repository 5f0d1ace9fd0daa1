"""Frames with evidence: found by what they are, newest first, page by page."""

import json
import sqlite3

from andon_monitor.formats.evidence_package import Evidence, Kind
from andon_monitor.review.store.database import Database
from andon_monitor.review.store.rows import (
    MIN_DIVISOR,
    AlarmCount,
    FrameQuery,
    LabelledScore,
    StoredFrame,
    within_present,
)

UNLIMITED = -1  # rows, as SQLite has it
MAX_CAMERAS = 500  # in the list that filters offer
MAX_PRODUCTS = 500  # likewise

Place = tuple[float, int]  # of a frame in the order of pages: (captured_at, number)


class FrameTable:
    """Queries of the table `frames`, with each frame's present label."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(
        self,
        query: FrameQuery,
        *,
        before: Place | None = None,
        oldest_first: bool = False,
        limit: int = UNLIMITED,
    ) -> list[StoredFrame]:
        """Up to `limit` frames by capture time, only those older than `before` if it is given."""
        where, values = _conditions(query)
        if before is not None:
            where, values = f"{where} AND (captured_at, number) < (?, ?)", [*values, *before]
        order = "ASC" if oldest_first else "DESC"
        return self._database.rows(
            StoredFrame,
            f"FROM labelled_frames WHERE {where} ORDER BY captured_at {order}, number {order} LIMIT ?",
            [*values, limit],
        )

    def count(self, query: FrameQuery) -> int:
        """How many frames there are."""
        where, values = _conditions(query)
        table = "labelled_frames" if query.labels or query.defect_kind else "frames"  # the view reads a label per frame
        (found,) = self._database.values(f"SELECT count(*) FROM {table} WHERE {where}", values)
        return int(found)

    def get(self, frame_id: str) -> StoredFrame | None:
        """One frame, None if there is none of this id."""
        return self._database.row(StoredFrame, "FROM labelled_frames WHERE id = ?", (frame_id,))

    def has(self, frame_id: str) -> bool:
        """Whether a frame of this id is known."""
        return bool(self._database.values("SELECT 1 FROM frames WHERE id = ?", (frame_id,)))

    def neighbours(self, frame: StoredFrame, query: FrameQuery) -> tuple[str | None, str | None]:
        """Ids of the next newer and the next older frame that the query finds."""
        where, values = _conditions(query)
        found = []
        for sign, order in ((">", "ASC"), ("<", "DESC")):
            ids = self._database.values(
                f"SELECT id FROM labelled_frames WHERE {where} AND (captured_at, number) {sign} (?, ?) "
                f"ORDER BY captured_at {order}, number {order} LIMIT 1",
                [*values, frame.captured_at, frame.number],
            )
            found.append(ids[0] if ids else None)
        return found[0], found[1]

    def cameras(self) -> list[str]:
        """The cameras that frames are from."""
        return self._database.values("SELECT DISTINCT camera FROM frames ORDER BY camera LIMIT ?", (MAX_CAMERAS,))

    def products(self) -> list[str]:
        """The products that frames show."""
        return self._database.values(
            "SELECT DISTINCT product FROM frames WHERE product IS NOT NULL ORDER BY product LIMIT ?", (MAX_PRODUCTS,)
        )

    def count_alarms(self) -> list[AlarmCount]:
        """Alarms by day and label, the newest day first."""
        query = (
            "SELECT CAST(captured_at / 86400 AS INTEGER) AS day, label, count(*) AS frames FROM labelled_frames "
            "WHERE kind = 'defect' GROUP BY day, label"
        )
        return self._database.rows(AlarmCount, f"FROM ({query}) ORDER BY day DESC")

    def decided_scores(self, sha256: str, *others: str, camera: str | None = None) -> list[LabelledScore]:
        """Scores of frames of some models that people called a defect, a false alarm or good."""
        models = (sha256, *others)
        where, values = _conditions(FrameQuery(models=models, camera=camera, labels=("confirmed", "false alarm")))
        return self._database.rows(LabelledScore, f"FROM labelled_frames WHERE {where}", values)

    def changed_by(
        self, threshold: float, query: FrameQuery, limit: int
    ) -> tuple[list[StoredFrame], list[StoredFrame]]:
        """The newest frames that only another threshold flags, and those that it no longer flags."""
        where, values = _conditions(query)
        order = "ORDER BY captured_at DESC, number DESC LIMIT ?"
        found = [
            self._database.rows(
                StoredFrame, f"FROM labelled_frames WHERE {where} AND {changed} {order}", [*values, threshold, limit]
            )
            for changed in ("verdict != 'defect' AND score > ?", "verdict = 'defect' AND score <= ?")
        ]
        return found[0], found[1]

    def ids_with_package(self) -> set[str]:
        """Ids of the frames whose files should be there."""
        return set(self._database.values("SELECT id FROM frames WHERE bytes > 0"))

    def total_bytes(self, kind: Kind | None = None) -> int:
        """Size of all packages, or of those of a kind."""
        where, values = ("", []) if kind is None else ("WHERE kind = ?", [kind])
        (total,) = self._database.values(f"SELECT coalesce(sum(bytes), 0) FROM frames {where}", values)
        return int(total)


def insert_frame(connection: sqlite3.Connection, evidence: Evidence, size: int, now: float) -> None:
    """Add a frame unless its id is known; `size` of its package in bytes, 0 if it was not kept."""
    v = evidence.verdict
    captured_at, claimed_at = within_present(v.captured_at, now)
    part = v.part
    regions = None if v.regions is None else json.dumps([r.model_dump(exclude_none=True) for r in v.regions])
    connection.execute(
        f"INSERT OR IGNORE INTO frames VALUES (NULL{', ?' * 22})",
        (
            v.id, evidence.about.kind, v.camera, captured_at, v.verdict, v.score, v.threshold, v.p_value,
            v.model.alias, v.model.sha256, v.frame.topic, v.frame.partition, v.frame.offset, v.frame.file, size, now,
            claimed_at, v.frame.event, part and json.dumps(part.to_dict(), ensure_ascii=False), part and part.id,
            part and part.product, regions,
        ),
    )  # fmt: skip


def forget_frame(connection: sqlite3.Connection, frame: StoredFrame) -> None:
    """Delete a frame; one with a label only loses its package."""
    change = "DELETE FROM frames" if frame.label is None else "UPDATE frames SET bytes = 0"
    connection.execute(f"{change} WHERE id = ?", (frame.id,))


def trim_frames(connection: sqlite3.Connection, kept: int) -> None:
    """Of frames older than the last `kept` delete those that have neither a package nor a label."""
    connection.execute(
        "DELETE FROM frames WHERE number <= (SELECT max(number) FROM frames) - ? "
        "AND bytes = 0 AND id NOT IN (SELECT id FROM labels)",
        (kept,),
    )


def _conditions(query: FrameQuery) -> tuple[str, list[object]]:
    """A WHERE clause and its values."""
    conditions: list[tuple[str, list[object]]] = [("true", [])]
    for condition, value in (
        ("kind = ?", query.kind),
        ("camera = ?", query.camera),
        ("part_id = ?", query.part),
        ("product = ?", query.product),
        ("captured_at >= ?", query.since),
        ("captured_at < ?", query.until),
        ("received_at < ?", query.received_before),
        (f"score / max(threshold, {MIN_DIVISOR}) >= ?", query.min_ratio),
        ("defect_kind = ?", query.defect_kind),
        ("sha256 = ?", query.sha256),
    ):
        if value is not None:
            conditions.append((condition, [value]))
    if query.models:
        conditions.append((f"sha256 IN ({', '.join('?' * len(query.models))})", [*query.models]))
    if query.labels:
        conditions.append((f"({' OR '.join('label IS ?' for _ in query.labels)})", [*query.labels]))
    if query.with_picture:
        conditions.append(("bytes > 0", []))
    return " AND ".join(text for text, _ in conditions), [value for _, values in conditions for value in values]
