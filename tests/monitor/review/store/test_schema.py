"""Stores of earlier versions are migrated with their data, completely or not at all; newer ones are refused."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.formats.evidence_package import KINDS
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery, Progress, StoredFrame
from andon_monitor.review.store.schema import MIGRATIONS

from tests.fixtures.review_line import file_names

# The tables of a store from before it had a version.
WITHOUT_VERSION = """
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


@pytest.fixture
def unversioned(store: Store) -> Path:
    """The same frames, a label and a position, as a program from before versions would have written them."""
    frame = store.frames.find(FrameQuery(kind="defect"))[0]
    store.labels.add(frame.id, "confirmed", "dent", "ann")
    new = store.folder / "review.sqlite"
    old = store.folder / "old.sqlite"
    with sqlite3.connect(old) as connection:
        connection.executescript(WITHOUT_VERSION)
        connection.execute("ATTACH ? AS new", (str(new),))
        for table in ("frames", "verdicts", "labels", "models"):
            names = ", ".join(f'"{row[1]}"' for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO {table} SELECT {names} FROM new.{table}")
        connection.execute("INSERT INTO places VALUES ('kafka://host:9092/andon.defects 3', 47)")
        connection.commit()
    connection.close()
    for left in store.folder.glob("review.sqlite*"):
        left.unlink()
    old.rename(new)
    return store.folder


def read(store: Store) -> list[StoredFrame]:
    return [frame for kind in KINDS for frame in store.frames.find(FrameQuery(kind=kind))]


def version(folder: Path) -> int:
    connection = sqlite3.connect(folder / "review.sqlite")
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(found)


def test_a_new_store_has_the_newest_version(tmp_path: Path) -> None:
    Store(tmp_path)
    assert version(tmp_path) == len(MIGRATIONS)


def test_a_store_from_before_versions_is_migrated_and_keeps_its_data(store: Store, unversioned: Path) -> None:
    files = file_names(store)
    assert version(unversioned) == 0
    migrated = Store(unversioned)
    assert version(unversioned) == len(MIGRATIONS)
    assert len(read(migrated)) == 60
    assert [(f.label, f.defect_kind) for f in read(migrated) if f.label] == [("confirmed", "dent")]
    assert [(s.label, s.who) for s in migrated.labels.steps_after(0, 10)] == [("confirmed", "ann")]
    assert len(migrated.verdicts.newest("left", 100)) == 30
    assert len(migrated.models.newest(10)) == 1
    assert migrated.progress.next_offsets("kafka://host:9092/andon.defects") == {3: 47}
    assert file_names(migrated) == files
    migrated.labels.undo(next(f.id for f in read(migrated) if f.label), "bob")
    migrated.progress.set(Progress("kafka://host:9092/andon.defects", 3, 48))
    again = Store(unversioned)  # which finds nothing to migrate
    assert again.progress.next_offsets("kafka://host:9092/andon.defects") == {3: 48}
    assert not [f for f in read(again) if f.label]


def test_processes_that_open_an_old_store_at_once_migrate_it_once(unversioned: Path) -> None:
    code = "import sys, pathlib; from andon_monitor.review.store import Store; Store(pathlib.Path(sys.argv[1]))"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(unversioned)]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert version(unversioned) == len(MIGRATIONS)
    assert len(read(Store(unversioned))) == 60


CRASH_AT_THE_END = """
import os, signal, sqlite3, sys
from andon_monitor.review.store.schema import MIGRATIONS, migrate
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode = WAL")
connection.create_function("crash", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
migrate(connection, [*MIGRATIONS[:-1], [*MIGRATIONS[-1], "SELECT crash()"]])
"""


def test_a_crash_in_the_middle_of_a_migration_changes_nothing(unversioned: Path) -> None:
    command = [sys.executable, "-c", CRASH_AT_THE_END, str(unversioned / "review.sqlite")]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    assert version(unversioned) == 0
    connection = sqlite3.connect(unversioned / "review.sqlite")
    assert connection.execute("SELECT next FROM places").fetchall() == [(47,)]
    connection.close()
    migrated = Store(unversioned)
    assert version(unversioned) == len(MIGRATIONS)
    assert len(read(migrated)) == 60
    assert migrated.progress.next_offsets("kafka://host:9092/andon.defects") == {3: 47}


def test_a_store_of_a_newer_version_is_refused_in_one_line_and_left_alone(store: Store) -> None:
    path = store.folder / "review.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(UsageError, match=r"newer version of andon-monitor \(store version 99") as raised:
        Store(store.folder)
    assert str(store.folder) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert version(store.folder) == 99
