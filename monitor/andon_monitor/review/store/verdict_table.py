"""The newest verdicts of each camera, with or without evidence."""

import sqlite3
from collections.abc import Sequence

from andon_monitor.formats.evidence_package import VerdictRecord
from andon_monitor.review.store.database import Database
from andon_monitor.review.store.rows import (
    LabelledScore,
    ModelUse,
    Span,
    StoredVerdict,
    ThresholdEffect,
    within_present,
)


class VerdictTable:
    """Queries of the table `verdicts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cameras(self, limit: int) -> tuple[list[str], int]:
        """The `limit` cameras with most verdicts, and how many cameras there are.

        Names that somebody invents, a few verdicts each, do not push out those of the line.
        """
        names = self._database.values(
            "SELECT camera FROM verdicts GROUP BY camera ORDER BY count(*) DESC, max(number) DESC LIMIT ?", (limit,)
        )
        (count,) = self._database.values("SELECT count(DISTINCT camera) FROM verdicts")
        return names, count

    def newest(self, camera: str, limit: int) -> list[StoredVerdict]:
        """The `limit` verdicts of a camera that came last, the newest first."""
        return self._database.rows(
            StoredVerdict,
            "FROM verdicts WHERE camera = ? ORDER BY number DESC LIMIT ?",
            (camera, limit),
        )

    def models(self) -> list[str]:
        """SHA-256 of each model that gave a verdict."""
        return self._database.values("SELECT DISTINCT sha256 FROM verdicts")

    def scores(self, sha256: str) -> list[LabelledScore]:
        """All scores under a model, the lowest first."""
        return self._database.rows(
            LabelledScore,
            "FROM (SELECT verdicts.score, verdicts.verdict, label FROM verdicts LEFT JOIN labelled_frames USING (id) "
            "WHERE verdicts.sha256 = ? AND verdicts.score IS NOT NULL) ORDER BY score",
            (sha256,),
        )

    def uses(self) -> list[ModelUse]:
        """The model that each camera's newest verdict is of, by camera."""
        return self._database.rows(
            ModelUse,
            # From the end of each camera's part of the index: the verdicts before the newest are not read.
            "FROM verdicts WHERE number IN (SELECT (SELECT number FROM verdicts WHERE camera = names.camera "
            "AND score IS NOT NULL ORDER BY number DESC LIMIT 1) FROM (SELECT DISTINCT camera FROM verdicts) AS names) "
            "ORDER BY camera",
        )

    def span(self, models: Sequence[str], camera: str | None = None, since: float | None = None) -> Span | None:
        """The extent of the verdicts of frames that some models inspected, since a time; None for none."""
        where, values = _of_models(models, camera, since)
        found = self._database.connection.execute(
            f"SELECT min(captured_at), max(captured_at), count(*), max(score) FROM verdicts WHERE {where}", values
        ).fetchone()
        return Span(*found) if found[2] else None

    def effects(
        self, models: Sequence[str], threshold: float, since: float, camera: str | None = None
    ) -> list[ThresholdEffect]:
        """What another threshold does to the verdicts of some models since a time, by camera."""
        where, values = _of_models(models, camera, since)
        query = (
            "SELECT camera, count(*) AS frames, sum(verdict = 'defect') AS flagged, sum(score > ?) AS would_flag, "
            "sum(score > ? AND verdict != 'defect') AS added, sum(score <= ? AND verdict = 'defect') AS removed "
            # Of all cameras, reading row after row and sorting takes half as long as following the index.
            f"FROM verdicts {'NOT INDEXED' if camera is None else ''} WHERE {where} GROUP BY camera"
        )
        thresholds = [threshold] * 3
        return self._database.rows(ThresholdEffect, f"FROM ({query}) ORDER BY camera", [*thresholds, *values])

    def counts(
        self, models: Sequence[str], edges: tuple[float, float, int], since: float, camera: str | None = None
    ) -> list[int]:
        """A histogram of scores since a time: from, to and number of bins; the first and last take what lies beyond."""
        low, high, bins = edges
        where, values = _of_models(models, camera, since)
        found = self._database.connection.execute(
            "SELECT min(max(CAST((score - ?) * ? AS INTEGER), 0), ?) AS bin, count(*) "
            f"FROM verdicts WHERE {where} GROUP BY bin",
            [low, bins / (high - low), bins - 1, *values],
        )
        counts = [0] * bins
        for place, count in found:
            counts[place] = count
        return counts


def _of_models(models: Sequence[str], camera: str | None, since: float | None) -> tuple[str, list[object]]:
    """The WHERE clause for inspected frames, and its values."""
    where = f"sha256 IN ({', '.join('?' * len(models))}) AND score IS NOT NULL"
    values: list[object] = [*models]
    for condition, value in (("camera = ?", camera), ("captured_at >= ?", since)):
        if value is not None:
            where, values = f"{where} AND {condition}", [*values, value]
    return where, values


def insert_verdicts(connection: sqlite3.Connection, verdicts: Sequence[VerdictRecord], now: float) -> None:
    """Add verdicts whose ids are not known; they arrive `now`."""
    connection.executemany(
        "INSERT OR IGNORE INTO verdicts "
        "(id, camera, captured_at, verdict, reason, score, threshold, sha256, claimed_at, received_at, alias) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                v.id,
                v.camera,
                captured_at,
                v.verdict,
                v.reason,
                v.score,
                v.threshold,
                v.model.sha256,
                claimed_at,
                now,
                v.model.alias,
            )
            for v in verdicts
            for captured_at, claimed_at in [within_present(v.captured_at, now)]
        ],
    )


def trim_verdicts(connection: sqlite3.Connection, kept: int) -> None:
    """Delete all verdicts but the last `kept`."""
    connection.execute("DELETE FROM verdicts WHERE number <= (SELECT max(number) FROM verdicts) - ?", (kept,))
