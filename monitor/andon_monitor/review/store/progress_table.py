"""How far topics have been read, and labels published."""

import sqlite3
from collections.abc import Sequence

from andon_monitor.review.store.database import Database
from andon_monitor.review.store.rows import Progress


class ProgressTable:
    """Queries and changes of the table `progress`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def next_offsets(self, topic: str) -> dict[int, int]:
        """The next offset of each partition of a topic."""
        found = self._database.rows(Progress, "FROM progress WHERE topic = ?", (topic,))
        return {row.partition: row.next for row in found}

    def set(self, *progress: Progress) -> None:
        """Note progress. Raises OutputError."""
        with self._database.transaction() as connection:
            write_progress(connection, progress)

    def rename(self, topic: str, new: str) -> None:
        """Note the progress of a topic under another name, unless there is some already. Raises OutputError."""
        if topic == new:
            return
        with self._database.transaction() as connection:
            connection.execute("UPDATE OR IGNORE progress SET topic = ? WHERE topic = ?", (new, topic))
            connection.execute("DELETE FROM progress WHERE topic = ?", (topic,))


def write_progress(connection: sqlite3.Connection, progress: Sequence[Progress]) -> None:
    """Note progress within a transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO progress VALUES (?, ?, ?)", [(p.topic, p.partition, p.next) for p in progress]
    )
