"""The newest verdict of each part."""

import sqlite3
from collections.abc import Sequence

from andon_monitor.formats.part_record import PartRecord
from andon_monitor.review.store.database import Database
from andon_monitor.review.store.rows import PartQuery, StoredPart, within_present


class PartTable:
    """Queries of the table `parts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, query: PartQuery, limit: int) -> list[StoredPart]:
        """The parts wanted, the newest first."""
        conditions, values = _conditions(query)
        return self._database.rows(
            StoredPart, f"FROM parts WHERE {conditions} ORDER BY number DESC LIMIT ?", (*values, limit)
        )

    def count(self) -> dict[str, int]:
        """How many parts have each verdict, of those that are kept."""
        verdicts = ("good", "defect", "incomplete")
        return {
            verdict: int(self._database.values("SELECT count(*) FROM parts WHERE verdict = ?", (verdict,))[0])
            for verdict in verdicts
        }

    def any(self) -> bool:
        """Whether there is a part."""
        return bool(self._database.values("SELECT 1 FROM parts LIMIT 1"))

    def products(self) -> list[str]:
        """All products, sorted."""
        return self._database.values("SELECT DISTINCT product FROM parts WHERE product IS NOT NULL ORDER BY product")


def insert_parts(connection: sqlite3.Connection, parts: Sequence[PartRecord], now: float) -> None:
    """Add verdicts of parts; a correction takes the place of the verdict that it corrects, whichever came first."""
    for part in parts:
        original = part.revises or part.id
        known = connection.execute("SELECT revision FROM parts WHERE id = ?", (original,)).fetchone()
        if known is not None and known[0] >= part.revision:
            continue
        ended_at, claimed_at = within_present(part.ended_at, now)
        connection.execute(
            "INSERT OR REPLACE INTO parts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                original,
                part.part.id,
                part.part.product,
                part.verdict,
                part.reason,
                part.revision,
                ended_at,
                claimed_at,
                part.model_dump_json(include={"defects", "missing", "uninspectable", "views"}),
            ),
        )


def trim_parts(connection: sqlite3.Connection, kept: int) -> None:
    """Delete all parts but the last `kept`."""
    connection.execute("DELETE FROM parts WHERE number <= (SELECT max(number) FROM parts) - ?", (kept,))


def _conditions(query: PartQuery) -> tuple[str, list[str]]:
    wanted = {"verdict": query.verdict, "part_id": query.part, "product": query.product}
    given = {column: value for column, value in wanted.items() if value}
    return " AND ".join(["1", *(f"{column} = ?" for column in given)]), list(given.values())
