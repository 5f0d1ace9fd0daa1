"""The models that frames were judged by."""

import time

from andon_monitor.model.card import Card
from andon_monitor.review.store.database import Database
from andon_monitor.review.store.rows import StoredModel


class ModelTable:
    """Queries and additions of the table `models`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, sha256: str, alias: str, card: Card) -> None:
        """Keep a model's card. Raises OutputError."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?)",
                (sha256, alias, card.model_dump_json(), time.time()),
            )

    def newest(self, limit: int) -> list[StoredModel]:
        """Up to `limit` models, the last added first."""
        return self._database.rows(StoredModel, "FROM models ORDER BY seen_at DESC LIMIT ?", (limit,))
