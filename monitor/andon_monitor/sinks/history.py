"""A small history of the line: good frames as latent vectors of a few dozen bytes, and defects unchanged."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from andon_monitor.common.files import cannot_write, whole_file, write_whole
from andon_monitor.common.process import Ending
from andon_monitor.common.times import rfc3339
from andon_monitor.errors import ModelError
from andon_monitor.formats.latent_archive import ArchiveWriter, Header
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.file import Model
from andon_monitor.sinks.dead_letters import suffix_of

GRAIN = 0.25  # grey levels by which rounding one number of a latent vector may change a picture
MAX_ARCHIVE_FRAMES = 50_000  # a few megabytes
BATCH_SIZE = 1

log = logging.getLogger("andon")


class History:
    """Writes `FOLDER/TIME.andon` with the good frames from that time on, and `FOLDER/defects/ID.jpg` for each defect.

    An archive belongs to one model: a model swap starts a new one. A complete archive is renamed; a crash leaves
    `TIME.andon.part`, of which `andon-trainer decompress` reads all but the last 256 frames. Raises
    OutputError.
    """

    def __init__(self, folder: Path, provider: str) -> None:
        self._folder = folder
        self._provider = provider
        self._model: Model | None = None
        self._part: Autoencoder | None = None
        self._writer: ArchiveWriter | None = None
        self._open = ExitStack()

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Add good frames to the archive, and keep defects."""
        for inspection in inspections:
            outcome, model = inspection.verdict.outcome, inspection.model
            if outcome == "defect":
                self._keep(inspection)
            elif outcome == "good" and model is not None:
                try:
                    self._add(inspection, model)
                except OSError as error:
                    raise cannot_write(self._folder, error) from None

    def close(self, ending: Ending) -> None:
        """Finish the archive, also where the run failed: what it has is complete."""
        self._finish()

    def _add(self, inspection: Inspection, model: Model) -> None:
        verdict, pixels = inspection.verdict, inspection.prepared.pixels
        assert pixels is not None  # it has a score
        if model is not self._model or (self._writer is not None and self._writer.count >= MAX_ARCHIVE_FRAMES):
            self._finish()
            self._begin(model, verdict.captured_at)
        if self._part is None or self._writer is None:
            self._keep(inspection)
            return
        latent = self._part.encode(pixels[np.newaxis])[0]
        self._writer.add(f"{verdict.camera}/{rfc3339(verdict.captured_at)}", latent)

    def _begin(self, model: Model, captured_at: float) -> None:
        self._model, self._part = model, Autoencoder(model, self._provider, BATCH_SIZE)
        try:
            header = Header.of(self._part, GRAIN)
        except ModelError as error:
            log.warning("history: %s; good frames are kept as image files", error)
            self._part = None
            return
        name = rfc3339(captured_at).replace(":", "")
        path, again = self._folder / f"{name}.andon", 2
        while path.exists():
            path, again = self._folder / f"{name}-{again}.andon", again + 1
        file = self._open.enter_context(whole_file(path))
        self._writer = ArchiveWriter(file, header)

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.finish()
        self._writer = None
        self._open.close()

    def _keep(self, inspection: Inspection) -> None:
        frame = inspection.frame
        write_whole(self._folder / "defects" / (inspection.verdict.id + suffix_of(frame)), frame.data)
