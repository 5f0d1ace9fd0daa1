"""The history of model files: who changed what, when and why. Rows are only added."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from andon_monitor.errors import UsageError
from andon_monitor.review.store.database import Database
from andon_monitor.review.store.rows import Action, Change, Step


class ChangeTable:
    """Queries and additions of the table `changes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, limit: int, file: str | None = None) -> list[Change]:
        """Up to `limit` entries, of one file where it is given, the newest first."""
        where, values = ("", []) if file is None else ("WHERE file = ?", [file])
        return self._database.rows(Change, f"FROM changes {where} ORDER BY number DESC LIMIT ?", [*values, limit])

    def get(self, number: int) -> Change | None:
        """One entry, None if there is none of this number."""
        return self._database.row(Change, "FROM changes WHERE number = ?", (number,))

    def after(self, number: int, limit: int) -> list[Change]:
        """Up to `limit` entries that came after entry `number`."""
        return self._database.rows(Change, "FROM changes WHERE number > ? ORDER BY number LIMIT ?", (number, limit))

    def installed(self, file: str) -> Change | None:
        """The entry that put the present content of a file in place, None if nothing is known of it."""
        return self._database.row(
            Change, "FROM changes WHERE file = ? AND step IN ('applied', 'found') ORDER BY number DESC", (file,)
        )

    def pending(self) -> list[Change]:
        """Proposals that nobody has answered, the newest first."""
        return self._database.rows(
            Change,
            "FROM changes WHERE step = 'proposed' "
            "AND number NOT IN (SELECT about FROM changes WHERE about IS NOT NULL) ORDER BY number DESC",
        )

    def contents(self) -> list[str]:
        """The sha256 of all contents of model files in the history, each once, the one mentioned last first."""
        return self._database.values(
            "SELECT new FROM changes WHERE action NOT IN ('set up', 'recipes') GROUP BY new ORDER BY max(number) DESC"
        )

    @contextmanager
    def adding(
        self,
        who: str,
        step: Step,
        action: Action,
        file: str,
        old: str | None,
        new: str,
        why: str = "",
        about: int | None = None,
    ) -> Iterator[None]:
        """Add an entry together with what is done inside; after an error there neither happened.

        Other processes wait meanwhile. Raises UsageError if a proposal has been answered, OutputError.
        """
        with self._database.transaction() as connection:
            if about is not None and connection.execute("SELECT 1 FROM changes WHERE about = ?", (about,)).fetchone():
                raise UsageError("somebody else was faster; load the page again")
            connection.execute(
                "INSERT INTO changes (at, who, step, action, file, old, new, why, about) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (time.time(), who, step, action, file, old, new, why, about),
            )
            yield

    def note_found(self, file: str, new: str) -> bool:
        """Add an entry if the file's content is not the one that the history ends with. Returns whether it was added.

        Raises OutputError.
        """
        with self._database.transaction() as connection:
            last = self.installed(file)
            if last is not None and last.new == new:
                return False
            connection.execute(
                "INSERT INTO changes (at, who, step, action, file, old, new, why) "
                "VALUES (?, '', 'found', 'replaced outside', ?, ?, ?, '')",
                (time.time(), file, last and last.new, new),
            )
        return True
