"""Messages on disk for a target that remembers, until it has them."""

import logging
import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.actions.links.base import Message
from andon_monitor.common.system import BINARY, lock
from andon_monitor.errors import OutputError, UsageError

SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    number INTEGER PRIMARY KEY AUTOINCREMENT, address TEXT NOT NULL, payload TEXT NOT NULL, id TEXT NOT NULL
)
"""

log = logging.getLogger("andon")


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in the outbox, with its number."""

    number: int
    message: Message


class Outbox:
    """A SQLite file with messages in their order, at most `limit`. Threads may use it at once, one process at a time.

    Raises UsageError where it cannot be opened or another process uses it, OutputError where it cannot be written.
    """

    def __init__(self, folder: Path, name: str, limit: int) -> None:
        self.path = folder / f"{name}.sqlite"
        self._limit = limit
        self._guard = threading.Lock()
        self.added = threading.Condition(self._guard)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR | BINARY, 0o600)
            self._lock()
            self._database = sqlite3.connect(self.path, check_same_thread=False)
            self.path.chmod(0o600)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")  # what is written survives a loss of power
            with self._database:
                self._database.execute(SCHEMA)
            self._count = int(self._database.execute("SELECT count(*) FROM message").fetchone()[0])
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"output.outbox: {self.path}: cannot be used ({_words(error)})") from None

    @property
    def is_filled(self) -> bool:
        """Whether it holds a message; whoever asks holds the lock of `added`."""
        return self._count > 0

    def __len__(self) -> int:
        with self._guard:
            return self._count

    def put(self, messages: Sequence[Message]) -> int:
        """Keep messages; they are on disk when this returns. Returns how many of the oldest were dropped for them."""
        if not messages:
            return 0
        rows = [(message.address, message.payload, message.id) for message in messages]
        with self._guard:
            dropped = max(0, self._count + len(rows) - self._limit)
            try:
                with self._database:
                    self._database.executemany("INSERT INTO message (address, payload, id) VALUES (?, ?, ?)", rows)
                    oldest = "SELECT number FROM message ORDER BY number LIMIT ?"
                    if dropped:
                        self._database.execute(f"DELETE FROM message WHERE number IN ({oldest})", (dropped,))
            except sqlite3.Error as error:
                raise OutputError(f"output.outbox: {self.path}: cannot be written ({_words(error)})") from None
            self._count += len(rows) - dropped
            self.added.notify_all()
        return dropped

    def oldest(self, limit: int) -> list[Stored]:
        """The oldest messages."""
        query = "SELECT number, address, payload, id FROM message ORDER BY number LIMIT ?"
        with self._guard, closing(self._database.execute(query, (limit,))) as rows:
            return [Stored(number, Message(address, payload, id_)) for number, address, payload, id_ in rows]

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget messages that the target has, or will never take."""
        with self._guard, self._database:
            removed = self._database.executemany("DELETE FROM message WHERE number = ?", [(one,) for one in numbers])
            self._count -= removed.rowcount

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            self._database.close()
            os.close(self._lock_file)

    def _lock(self) -> None:
        try:
            lock(self._lock_file)
        except BlockingIOError:
            os.close(self._lock_file)
            raise UsageError(f"output.outbox: {self.path}: another monitor uses it; give each its own folder") from None


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
