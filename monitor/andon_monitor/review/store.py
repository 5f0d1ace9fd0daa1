"""The page's store: an SQLite file of what is known about each frame, and beside it the evidence and a small picture.

    review.sqlite
    frames/3f/3f0c...zip      as it was sent, see `andon_monitor.formats.evidence_package`
    frames/3f/3f0c...jpg      the picture in the gallery

Several processes may use one store: `run` writes what `review` shows. A frame that comes twice is there once.
"""

import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from andon_monitor.common.files import remove_quietly, write_whole
from andon_monitor.errors import EvidenceError, OutputError, UsageError
from andon_monitor.formats.evidence_package import Evidence, VerdictRecord, unpack
from andon_monitor.model.card import Card
from andon_monitor.review.pictures import thumbnail
from andon_monitor.settings.groups import ReviewSettings

SCHEMA = """
CREATE TABLE IF NOT EXISTS frames (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, camera TEXT NOT NULL,
    captured_at REAL NOT NULL, verdict TEXT NOT NULL, score REAL, threshold REAL NOT NULL, p_value REAL,
    alias TEXT NOT NULL, sha256 TEXT NOT NULL, topic TEXT NOT NULL, "partition" INTEGER NOT NULL,
    "offset" INTEGER NOT NULL, file TEXT, bytes INTEGER NOT NULL, received_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS frames_by_time ON frames (kind, captured_at);
CREATE INDEX IF NOT EXISTS frames_by_camera ON frames (camera, captured_at);
CREATE TABLE IF NOT EXISTS verdicts (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, camera TEXT NOT NULL, captured_at REAL NOT NULL,
    verdict TEXT NOT NULL, reason TEXT, score REAL, threshold REAL NOT NULL, sha256 TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS verdicts_by_camera ON verdicts (camera, captured_at);
-- Rows are only ever added. `label` and `kind` are what holds after the step: a frame's last row says it all.
CREATE TABLE IF NOT EXISTS labels (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, step TEXT NOT NULL, label TEXT, kind TEXT,
    who TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS labels_by_frame ON labels (id, number);
CREATE TRIGGER IF NOT EXISTS labels_stay BEFORE DELETE ON labels
    BEGIN SELECT raise(ABORT, 'the history of labels only grows'); END;
CREATE TRIGGER IF NOT EXISTS labels_hold BEFORE UPDATE ON labels
    BEGIN SELECT raise(ABORT, 'the history of labels only grows'); END;
CREATE VIEW IF NOT EXISTS labelled AS
    SELECT frames.*, labels.label, labels.kind AS defect FROM frames LEFT JOIN labels
    ON labels.number = (SELECT max(number) FROM labels AS later WHERE later.id = frames.id);
CREATE TABLE IF NOT EXISTS models (sha256 TEXT PRIMARY KEY, alias TEXT NOT NULL, card TEXT NOT NULL, seen_at REAL);
CREATE TABLE IF NOT EXISTS places (name TEXT PRIMARY KEY, next INTEGER NOT NULL);
"""
DATABASE = "review.sqlite"
# A line of ten cameras at one frame a second for a shift of eight hours; a row has about 250 bytes.
VERDICTS_KEPT = 300_000
FRAMES_KEPT = 1_000_000  # those that there was no room for a picture of; with a label they stay
PATIENCE = 30.0  # seconds to wait for another process that writes
TIDY_SECONDS = 10.0  # between two looks at age and size
ORPHAN_SECONDS = 3600.0  # a file this old that no row speaks of was left by a crash
REMOVED_AT_ONCE = 200

log = logging.getLogger("andon")


def must_exist(folder: Path) -> None:
    """Raise UsageError where there is no store yet: what only reads one would show an empty one."""
    if not (folder / DATABASE).is_file():
        raise UsageError(
            f"{folder}: no store of a review page; right is a folder that andon-monitor run --evidence fills"
        )


class Store:
    """A folder opened for reading and writing, from any thread. Raises UsageError where it cannot be one."""

    def __init__(self, folder: Path, limits: ReviewSettings | None = None) -> None:
        self.folder = folder
        self._limits = limits or ReviewSettings()
        self._local = threading.local()
        self._tidied = 0.0
        try:
            (folder / "frames").mkdir(parents=True, exist_ok=True)
            self.connection.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"{folder}: cannot be the store of a review page ({error})") from None
        self._remove_orphans()

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection; rows are read by name."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self.folder / DATABASE, timeout=PATIENCE)
            found.row_factory = sqlite3.Row
            found.execute("PRAGMA journal_mode = WAL")
            self._local.connection = found
        return found

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the only right to write. Raises OutputError where the disk refuses."""
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{self.folder}: cannot be written ({error})") from None

    def add(
        self,
        packages: Sequence[bytes] = (),
        verdicts: Sequence[VerdictRecord] = (),
        places: Sequence[tuple[str, int]] = (),
    ) -> list[str]:
        """Keep evidence and verdicts that are new, and how far each partition has been read; all of it or nothing.

        Returns a line for each package that is refused: anybody may write to a topic.
        """
        refused: list[str] = []
        kept = []
        pending = 0  # bytes written that no row speaks of yet
        for data in packages:
            try:
                evidence = unpack(data)
                if not self.has(evidence.verdict.id):
                    written = len(data) if self._write_files(evidence, data, pending) else 0
                    kept.append((evidence, written))
                    pending += written
            except EvidenceError as error:
                refused.append(str(error))
        now = time.time()
        with self.changing() as connection:
            for evidence, written in kept:
                _insert_frame(connection, evidence, written, now)
            connection.executemany("INSERT OR IGNORE INTO verdicts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", [
                (v.id, v.camera, v.captured_at, v.verdict, v.reason, v.score, v.threshold, v.model.sha256)
                for v in verdicts
            ])  # fmt: skip
            connection.executemany("INSERT OR REPLACE INTO places VALUES (?, ?)", places)
        if time.monotonic() - self._tidied > TIDY_SECONDS:
            self.tidy()
        return refused

    def add_model(self, sha256: str, alias: str, card: Card) -> None:
        """Remember what a model says about itself."""
        with self.changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?)",
                (sha256, alias, card.model_dump_json(), time.time()),
            )

    def places(self, topic: str) -> dict[int, int]:
        """The next offset to be read of each partition of a topic, as `add` was told."""
        rows = self.connection.execute("SELECT name, next FROM places")
        return {int(name.rpartition(" ")[2]): place for name, place in rows if name.rpartition(" ")[0] == topic}

    def has(self, frame_id: str) -> bool:
        """Whether a frame of this id is known: what comes later under the same id is left aside."""
        return self.connection.execute("SELECT 1 FROM frames WHERE id = ?", (frame_id,)).fetchone() is not None

    def package(self, frame_id: str) -> bytes | None:
        """A frame's evidence as it was sent, None where there is none, or no longer."""
        return self._read(frame_id, ".zip")

    def thumbnail(self, frame_id: str) -> bytes | None:
        """A frame's small picture, JPEG."""
        return self._read(frame_id, ".jpg")

    def revision(self) -> tuple[int, ...]:
        """Numbers that change when anything is added."""
        parts = (f"(SELECT max(number) FROM {table})" for table in ("frames", "verdicts", "labels"))
        return tuple(number or 0 for number in self.connection.execute(f"SELECT {', '.join(parts)}").fetchone())

    def tidy(self, more: int = 0) -> None:
        """Let go of what is too old, and of as much as there is too much of where `more` bytes are to be written:
        frames without a label first, then pictures of those with one.
        """
        self._tidied = time.monotonic()
        oldest = time.time() - 86_400 * self._limits.keep_days
        self._remove("label IS NULL AND received_at < ?", (oldest,))
        for condition in ("label IS NULL AND bytes > 0", "bytes > 0"):
            while (excess := self._excess(more)) > 0 and self._remove(condition, enough=excess):
                pass
        with self.changing() as connection:
            for table, kept, condition in (
                ("verdicts", VERDICTS_KEPT, "true"),
                ("frames", FRAMES_KEPT, "bytes = 0 AND id NOT IN (SELECT id FROM labels)"),
            ):
                connection.execute(
                    f"DELETE FROM {table} WHERE number <= (SELECT max(number) FROM {table}) - ? AND {condition}",
                    (kept,),
                )

    def _excess(self, more: int) -> int:
        """Bytes to be let go of before `more` may be written; 0 or less for none."""
        (size,) = self.connection.execute("SELECT coalesce(sum(bytes), 0) FROM frames").fetchone()
        free = shutil.disk_usage(self.folder).free
        return more + max(int(size) - self._limits.keep_bytes, self._limits.keep_free - free)

    def _remove(self, condition: str, values: tuple[float, ...] = (), enough: int | None = None) -> int:
        """Let go of up to `REMOVED_AT_ONCE` frames, the oldest first, or of `enough` bytes of them.

        Of those with a label only the files go. Returns how many frames it were.
        """
        found = self.connection.execute(
            f"SELECT id, label, bytes FROM labelled WHERE {condition} ORDER BY captured_at LIMIT {REMOVED_AT_ONCE}",
            values,
        ).fetchall()
        if enough is not None:
            sizes = accumulate(row["bytes"] for row in found)
            found = found[: 1 + sum(size < enough for size in sizes)]
        with self.changing() as connection:
            for row in found:
                forget = "DELETE FROM frames" if row["label"] is None else "UPDATE frames SET bytes = 0"
                connection.execute(f"{forget} WHERE id = ?", (row["id"],))
        for row in found:
            for suffix in (".zip", ".jpg"):
                remove_quietly(self._path(row["id"], suffix))
        return len(found)

    def _write_files(self, evidence: Evidence, data: bytes, pending: int) -> bool:
        """Keep the bytes, unless the disk would be too full without what may be let go of. Raises EvidenceError."""
        frame_id = evidence.verdict.id
        small = thumbnail(evidence)
        more = pending + len(data)
        if self._excess(more) > 0:
            self.tidy(more)
            if self._excess(more) > 0:
                log.warning("%s: no room for the picture of %s", self.folder, frame_id)
                return False
        write_whole(self._path(frame_id, ".zip"), data)
        write_whole(self._path(frame_id, ".jpg"), small)
        return True

    def _path(self, frame_id: str, suffix: str) -> Path:
        # 32 hexadecimal digits: `VerdictRecord` lets no other id in, and `_read` is asked for ids in the database.
        return self.folder / "frames" / frame_id[:2] / (frame_id + suffix)

    def _read(self, frame_id: str, suffix: str) -> bytes | None:
        if not self.has(frame_id):
            return None
        try:
            return self._path(frame_id, suffix).read_bytes()
        except OSError:
            return None

    def _remove_orphans(self) -> None:
        known = {row["id"] for row in self.connection.execute("SELECT id FROM frames WHERE bytes > 0")}
        for path in (self.folder / "frames").glob("*/*"):
            try:
                if path.name[:32] not in known and time.time() - path.stat().st_mtime > ORPHAN_SECONDS:
                    remove_quietly(path)
            except OSError:  # another process was faster
                continue


def _insert_frame(connection: sqlite3.Connection, evidence: Evidence, size: int, now: float) -> None:
    v = evidence.verdict
    connection.execute(
        "INSERT OR IGNORE INTO frames VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            v.id, evidence.about.kind, v.camera, v.captured_at, v.verdict, v.score, v.threshold, v.p_value,
            v.model.alias, v.model.sha256, v.frame.topic, v.frame.partition, v.frame.offset, v.frame.file, size, now,
        ),
    )  # fmt: skip
