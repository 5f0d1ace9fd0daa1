"""How the store is filled: by `run` beside it, or from the topics of a line."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon_monitor.errors import EvidenceError
from andon_monitor.formats.evidence_package import MAX_FRAME, VerdictRecord, read_verdict
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import ReviewSettings

if TYPE_CHECKING:
    from andon_monitor.kafka.tap import KafkaTap

POLL_SECONDS = 0.5
POLL_RECORDS = {"defects": 16, "verdicts": 1000}

log = logging.getLogger("andon")


class StoreDestination:
    """Evidence straight into a page's store, with every verdict and the model's card beside it."""

    limit = MAX_FRAME

    def __init__(self, folder: Path, limits: ReviewSettings) -> None:
        self._store = Store(folder, limits)
        self._models: set[str] = set()

    def send(self, inspections: Sequence[Inspection], packages: Sequence[tuple[Inspection, bytes]]) -> None:
        """Add to the store."""
        for model, alias in {(i.model, i.verdict.model) for i in inspections if i.model is not None}:
            if model.sha256 not in self._models:
                self._models.add(model.sha256)
                self._store.add_model(model.sha256, alias, model.card)
        verdicts, refused = _read_verdicts([inspection.verdict.to_json().encode() for inspection in inspections])
        refused += self._store.add([data for _, data in packages], verdicts)
        for line in refused:
            log.warning("not shown for review: %s", line)

    def close(self) -> None:
        """Nothing to do: what was added is there."""


class TopicReader:
    """Reads a topic of packages ("defects") or of verdicts into the store.

    How far it has read is kept in the store, in the same transaction as what was read: nothing is lost or doubled by a
    crash. A message that is none of ours is logged.
    """

    def __init__(self, store: Store, name: str, uri: str, open_tap: Callable[[dict[int, int]], "KafkaTap"]) -> None:
        self._store = store
        self._name = name
        self._uri = uri
        self._open_tap = open_tap

    def follow(self, closed: threading.Event) -> None:
        """Read on from where the store says, until closed. Raises UsageError, SourceError and OutputError."""
        tap = self._open_tap(self._store.places(self._uri))
        try:
            while not closed.is_set():
                self._keep(tap.poll_records(POLL_RECORDS[self._name], POLL_SECONDS) or [])
        finally:
            tap.close()

    def _keep(self, records: Sequence[Any]) -> None:
        if not records:
            return
        places = {f"{self._uri} {record.partition}": record.offset + 1 for record in records}
        values = [record.value or b"" for record in records]
        if self._name == "defects":
            refused = self._store.add(values, places=list(places.items()))
        else:
            verdicts, refused = _read_verdicts(values)
            self._store.add(verdicts=verdicts, places=list(places.items()))
        for line in refused[:1]:
            log.warning("%d of %d messages of %s are refused: %s", len(refused), len(records), self._name, line)


def _read_verdicts(values: Sequence[bytes]) -> tuple[list[VerdictRecord], list[str]]:
    """The verdicts, and a line for each value that is none."""
    verdicts, refused = [], []
    for value in values:
        try:
            verdicts.append(read_verdict(value))
        except EvidenceError as error:
            refused.append(str(error))
    return verdicts, refused
