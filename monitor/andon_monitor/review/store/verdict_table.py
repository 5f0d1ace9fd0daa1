"""The newest verdicts of each camera, with or without evidence."""

import sqlite3
from collections.abc import Sequence

from andon_monitor.formats.evidence_package import VerdictRecord
from andon_monitor.review.store.database import Database
from andon_monitor.review.store.rows import LabelledScore, StoredVerdict, within_present


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


def insert_verdicts(connection: sqlite3.Connection, verdicts: Sequence[VerdictRecord], now: float) -> None:
    """Add verdicts whose ids are not known; they arrive `now`."""
    connection.executemany(
        "INSERT OR IGNORE INTO verdicts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (v.id, v.camera, captured_at, v.verdict, v.reason, v.score, v.threshold, v.model.sha256, claimed_at)
            for v in verdicts
            for captured_at, claimed_at in [within_present(v.captured_at, now)]
        ],
    )


def trim_verdicts(connection: sqlite3.Connection, kept: int) -> None:
    """Delete all verdicts but the last `kept`."""
    connection.execute("DELETE FROM verdicts WHERE number <= (SELECT max(number) FROM verdicts) - ?", (kept,))
