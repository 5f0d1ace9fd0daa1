"""The store as its users see it.

    review.sqlite
    frames/3f/3f0c...zip      evidence as it was sent, see `andon_monitor.formats.evidence_package`
    frames/3f/3f0c...jpg      thumbnail
    models/5ab1...onnx        model files that were in use or proposed, where the page may change models

Several processes may use one store: `run` writes what `review` shows. A frame that comes twice is kept once.
"""

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from andon_monitor.errors import EvidenceError, UsageError
from andon_monitor.formats.evidence_package import Evidence, VerdictRecord, read_verdict, unpack
from andon_monitor.formats.part_record import PartRecord, read_part_record
from andon_monitor.review.pictures import thumbnail
from andon_monitor.review.store.change_table import ChangeTable
from andon_monitor.review.store.database import Database
from andon_monitor.review.store.frame_table import FrameTable, insert_frame
from andon_monitor.review.store.label_table import LabelTable
from andon_monitor.review.store.model_files import ModelFiles
from andon_monitor.review.store.model_table import ModelTable
from andon_monitor.review.store.package_files import PACKAGE, THUMBNAIL, PackageFiles
from andon_monitor.review.store.part_table import PartTable, insert_parts
from andon_monitor.review.store.progress_table import ProgressTable, write_progress
from andon_monitor.review.store.retention import Retention
from andon_monitor.review.store.rows import Progress, within_present
from andon_monitor.review.store.schema import migrate
from andon_monitor.review.store.verdict_table import VerdictTable, insert_verdicts
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.telemetry.logs import Occasional

DATABASE = "review.sqlite"

log = logging.getLogger("andon")


def must_exist(folder: Path) -> None:
    """Raise UsageError if there is no store yet; opening it would create an empty one."""
    if not (folder / DATABASE).is_file():
        raise UsageError(
            f"{folder}: no store of a review page; give the folder that andon-monitor run --evidence fills"
        )


class Store:
    """A folder opened for reading and writing, from any thread; created or migrated as needed.

    Raises UsageError if it cannot be a store, or is one of a newer version.
    """

    def __init__(self, folder: Path, limits: ReviewSettings | None = None) -> None:
        self.folder = folder
        self._database = Database(folder / DATABASE)
        self._files = PackageFiles(folder / "frames")
        try:
            self._files.folder.mkdir(parents=True, exist_ok=True)
            migrate(self._database.connection)
        except UsageError as error:
            raise UsageError(f"{folder}: {error}") from None
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"{folder}: cannot be the store of a review page ({error})") from None
        self.refused: Counter[str] = Counter()  # messages since the start, by their topic's content; see TopicReader
        self._clock_warning = Occasional()
        self.frames = FrameTable(self._database)
        self.verdicts = VerdictTable(self._database)
        self.labels = LabelTable(self._database)
        self.parts = PartTable(self._database)
        self.models = ModelTable(self._database)
        self.changes = ChangeTable(self._database)
        self.model_files = ModelFiles(folder / "models")
        self.progress = ProgressTable(self._database)
        self.retention = Retention(folder, self._database, self._files, limits or ReviewSettings())
        self._files.remove_orphans(self.frames.ids_with_package())

    def add(
        self,
        packages: Sequence[bytes] = (),
        verdicts: Sequence[bytes] = (),
        progress: Sequence[Progress] = (),
        parts: Sequence[bytes] = (),
    ) -> list[str]:
        """Keep evidence packages, verdicts of frames and parts (JSON) and how far topics were read, in one transaction.

        Returns a line for each package or verdict that is refused, as anybody may write to a topic. A frame whose id is
        known is ignored. Raises OutputError.
        """
        refused: list[str] = []
        records: list[VerdictRecord] = []
        for data in verdicts:
            try:
                records.append(read_verdict(data))
            except EvidenceError as error:
                refused.append(str(error))
        part_records: list[PartRecord] = []
        for data in parts:
            try:
                part_records.append(read_part_record(data))
            except EvidenceError as error:
                refused.append(str(error))
        kept: list[tuple[Evidence, int]] = []
        pending = 0  # bytes written that are not in the database yet
        for data in packages:
            try:
                evidence = unpack(data)
                if not self.frames.has(evidence.verdict.id):
                    size = len(data) if self._write_files(evidence, data, pending) else 0
                    kept.append((evidence, size))
                    pending += size
            except EvidenceError as error:
                refused.append(str(error))
        now = time.time()
        for verdict in [*records, *(evidence.verdict for evidence, _ in kept)]:
            if within_present(verdict.captured_at, now)[1] is not None:
                self._clock_warning.log(
                    log,
                    "the clock of camera %s is ahead by %.0f s; the time of arrival is shown instead",
                    verdict.camera,
                    verdict.captured_at - now,
                )
        with self._database.transaction() as connection:
            for evidence, size in kept:
                insert_frame(connection, evidence, size, now)
            insert_verdicts(connection, records, now)
            insert_parts(connection, part_records, now)
            write_progress(connection, progress)
        self.retention.apply_if_due()
        return refused

    def add_parts(self, parts: Sequence[bytes]) -> list[str]:
        """Keep verdicts of parts (JSON); see `add`."""
        return self.add(parts=parts)

    def package(self, frame_id: str) -> bytes | None:
        """A frame's evidence package as it was sent, None if there is none (any more)."""
        return self._files.read(frame_id, PACKAGE) if self.frames.has(frame_id) else None

    def thumbnail(self, frame_id: str) -> bytes | None:
        """A frame's thumbnail, JPEG, None if there is none (any more)."""
        return self._files.read(frame_id, THUMBNAIL) if self.frames.has(frame_id) else None

    def revision(self) -> tuple[int, ...]:
        """Numbers that change when a frame, a verdict, a label, a part or a change of a model is added."""
        tables = ("frames", "verdicts", "labels", "parts", "changes")
        return tuple(self._database.values(f"SELECT max(number) FROM {table}")[0] or 0 for table in tables)

    def _write_files(self, evidence: Evidence, package: bytes, pending: int) -> bool:
        """Whether the files were written: not on a full disk where nothing may be deleted. Raises EvidenceError."""
        frame_id = evidence.verdict.id
        small = thumbnail(evidence)
        if not self.retention.make_room(pending + len(package)):
            log.warning("%s: no room for the picture of %s", self.folder, frame_id)
            return False
        self._files.write(frame_id, package, small)
        return True
