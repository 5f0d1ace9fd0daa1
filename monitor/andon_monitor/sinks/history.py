"""A small history of the line: good frames as latent vectors of a few dozen bytes, and defects unchanged."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from andon_monitor.common.files import PART, cannot_write, whole_file, write_whole
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
MAX_ARCHIVES = 32  # open at a time, each with an encoder of its own

log = logging.getLogger("andon")


@dataclass
class _Archive:
    """An archive that is being written; `writer` is None for a model that cannot be cut at its latent vector."""

    model: Model
    part: Autoencoder
    writer: ArchiveWriter | None
    file: ExitStack

    def finish(self) -> None:
        if self.writer is not None:
            self.writer.finish()
        self.file.close()


class History:
    """Writes `FOLDER/TIME.andon` with the good frames from that time on, and `FOLDER/defects/ID.jpg` for each defect.

    An archive belongs to one model: each recipe has its own, and a model swap starts a new one. A complete archive is
    renamed; a crash leaves `TIME.andon.part`, of which `andon-trainer decompress` reads all but the last 256 frames.
    Raises OutputError.
    """

    def __init__(self, folder: Path, provider: str) -> None:
        self._folder = folder
        self._provider = provider
        self._archives: OrderedDict[str | None, _Archive] = OrderedDict()  # by recipe, the last used one at the end

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Add good frames to the archive of their recipe, and keep defects."""
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
        """Finish the archives, also where the run failed: what they have is complete."""
        while self._archives:
            self._archives.popitem()[1].finish()

    def _add(self, inspection: Inspection, model: Model) -> None:
        verdict, pixels = inspection.verdict, inspection.prepared.pixels
        assert pixels is not None  # it has a score
        archive = self._archives.get(verdict.recipe)
        # A model that was closed and opened again continues its archive.
        is_other = archive is not None and archive.model is not model and archive.model.sha256 != model.sha256
        is_full = archive is not None and archive.writer is not None and archive.writer.count >= MAX_ARCHIVE_FRAMES
        if archive is None or is_other or is_full:
            if archive is not None:
                self._archives.pop(verdict.recipe).finish()
            if len(self._archives) >= MAX_ARCHIVES:
                self._archives.popitem(last=False)[1].finish()
            archive = self._archives[verdict.recipe] = self._begin(model, verdict.captured_at)
        self._archives.move_to_end(verdict.recipe)
        if archive.writer is None:
            self._keep(inspection)
            return
        latent = archive.part.encode(pixels[np.newaxis])[0]
        archive.writer.add(f"{verdict.camera}/{rfc3339(verdict.captured_at)}", latent)

    def _begin(self, model: Model, captured_at: float) -> _Archive:
        archive = _Archive(model, Autoencoder(model, self._provider, BATCH_SIZE), None, ExitStack())
        try:
            header = Header.of(archive.part, GRAIN)
        except ModelError as error:
            log.warning("history: %s; good frames are kept as image files", error)
            return archive
        name = rfc3339(captured_at).replace(":", "")
        path, again = self._folder / f"{name}.andon", 2
        while path.exists() or path.with_name(path.name + PART).exists():
            path, again = self._folder / f"{name}-{again}.andon", again + 1
        archive.writer = ArchiveWriter(archive.file.enter_context(whole_file(path)), header)
        return archive

    def _keep(self, inspection: Inspection) -> None:
        frame = inspection.frame
        write_whole(self._folder / "defects" / (inspection.verdict.id + suffix_of(frame)), frame.data)
