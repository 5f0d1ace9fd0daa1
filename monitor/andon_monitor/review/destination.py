"""Evidence of `andon-monitor run` straight into a page's store."""

import logging
from collections.abc import Sequence
from pathlib import Path

from andon_monitor.formats.evidence_package import MAX_FRAME_BYTES
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import ReviewSettings

log = logging.getLogger("andon")


class StoreDestination:
    """Adds evidence packages, every verdict and the model's card to a store. See `evidence.sink.Destination`."""

    limit = MAX_FRAME_BYTES

    def __init__(self, folder: Path, limits: ReviewSettings) -> None:
        self._store = Store(folder, limits)
        self._models: set[str] = set()

    def send(self, inspections: Sequence[Inspection], packages: Sequence[tuple[Inspection, bytes]]) -> None:
        """Return once all is in the store. Raises OutputError."""
        for model, alias in {(i.model, i.verdict.model) for i in inspections if i.model is not None}:
            if model.sha256 not in self._models:
                self._models.add(model.sha256)
                self._store.models.add(model.sha256, alias, model.card)
        verdicts = [inspection.verdict.to_json().encode() for inspection in inspections]
        for line in self._store.add([data for _, data in packages], verdicts):
            log.warning("not shown for review: %s", line)

    def close(self) -> None:
        """Nothing is pending."""
