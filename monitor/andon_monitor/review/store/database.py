"""Connections to the SQLite database of a store: one per thread, and write transactions."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from andon_monitor.errors import OutputError

LOCK_SECONDS = 5.0  # to wait for another process that writes; a write takes milliseconds

Row = TypeVar("Row")  # a dataclass of `review.store.rows`


class Database:
    """The database file of a store, usable from any thread. Queries return dataclasses of `review.store.rows`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection. Raises sqlite3.Error."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self._path, timeout=LOCK_SECONDS)
            found.execute("PRAGMA journal_mode = WAL")
            self._local.connection = found
        return found

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction; nobody else writes meanwhile. Raises OutputError if the disk refuses."""
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{self._path.parent}: cannot be written ({error})") from None

    def rows(self, row: Callable[..., Row], clause: str, values: Sequence[object] = ()) -> list[Row]:
        """`SELECT (the fields of row) clause`, where `clause` begins with FROM."""
        found = self.connection.execute(f"SELECT {columns(row)} {clause}", values)
        return [row(*fields) for fields in found]

    def row(self, row: Callable[..., Row], clause: str, values: Sequence[object] = ()) -> Row | None:
        """The first of `rows`, None if there is none."""
        found = self.connection.execute(f"SELECT {columns(row)} {clause} LIMIT 1", values).fetchone()
        return None if found is None else row(*found)

    def values(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """The only column of a query."""
        return [value for (value,) in self.connection.execute(query, values)]


def columns(row: Any) -> str:
    """The fields of a dataclass as the columns of a query; in brackets, as some are keywords of SQL."""
    return ", ".join(f"[{field.name}]" for field in fields(row))
