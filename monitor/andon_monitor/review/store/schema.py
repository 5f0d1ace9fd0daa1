"""The tables, their version (`PRAGMA user_version`), and how a store of an earlier version becomes one of this version.

A migration is never changed once it is released: a change of the tables is a new entry at the end of `MIGRATIONS`.
"""

import sqlite3
from collections.abc import Sequence

from andon_monitor.errors import UsageError

# Version 1. Stores from before versions have these tables and version 0, hence IF NOT EXISTS.
_FIRST = (
    """CREATE TABLE IF NOT EXISTS frames (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, camera TEXT NOT NULL,
        captured_at REAL NOT NULL, verdict TEXT NOT NULL, score REAL, threshold REAL NOT NULL, p_value REAL,
        alias TEXT NOT NULL, sha256 TEXT NOT NULL, topic TEXT NOT NULL, "partition" INTEGER NOT NULL,
        "offset" INTEGER NOT NULL, file TEXT, bytes INTEGER NOT NULL, received_at REAL NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS frames_by_time ON frames (kind, captured_at)",
    "CREATE INDEX IF NOT EXISTS frames_by_camera ON frames (camera, captured_at)",
    """CREATE TABLE IF NOT EXISTS verdicts (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, camera TEXT NOT NULL, captured_at REAL NOT NULL,
        verdict TEXT NOT NULL, reason TEXT, score REAL, threshold REAL NOT NULL, sha256 TEXT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS verdicts_by_camera ON verdicts (camera, captured_at)",
    # Rows are only added. `label` and `kind` are the state after the step, so a frame's last row is its present label.
    """CREATE TABLE IF NOT EXISTS labels (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, step TEXT NOT NULL, label TEXT, kind TEXT,
        who TEXT NOT NULL, at REAL NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS labels_by_frame ON labels (id, number)",
    """CREATE TRIGGER IF NOT EXISTS labels_stay BEFORE DELETE ON labels
        BEGIN SELECT raise(ABORT, 'the history of labels only grows'); END""",
    """CREATE TRIGGER IF NOT EXISTS labels_hold BEFORE UPDATE ON labels
        BEGIN SELECT raise(ABORT, 'the history of labels only grows'); END""",
    """CREATE VIEW IF NOT EXISTS labelled AS
        SELECT frames.*, labels.label, labels.kind AS defect FROM frames LEFT JOIN labels
        ON labels.number = (SELECT max(number) FROM labels AS later WHERE later.id = frames.id)""",
    """CREATE TABLE IF NOT EXISTS models (
        sha256 TEXT PRIMARY KEY, alias TEXT NOT NULL, card TEXT NOT NULL, seen_at REAL
    )""",
    "CREATE TABLE IF NOT EXISTS places (name TEXT PRIMARY KEY, next INTEGER NOT NULL)",
)
# Version 2: `places` had topic and partition in one text, "kafka://host/topic 0"; the view says what its columns are.
_SECOND = (
    'CREATE TABLE progress (topic TEXT NOT NULL, "partition" INTEGER NOT NULL, next INTEGER NOT NULL, '
    'PRIMARY KEY (topic, "partition"))',
    "INSERT INTO progress SELECT substr(name, 1, instr(name, ' ') - 1), "
    "CAST(substr(name, instr(name, ' ') + 1) AS INTEGER), next FROM places WHERE instr(name, ' ') > 1",
    "DROP TABLE places",
    "DROP VIEW labelled",
    """CREATE VIEW labelled_frames AS
        SELECT frames.*, labels.label, labels.kind AS defect_kind FROM frames LEFT JOIN labels
        ON labels.number = (SELECT max(number) FROM labels AS later WHERE later.id = frames.id)""",
)
# Version 3: the newest verdict is the one that came last, not the one that says so. `claimed_at` is a capture time that
# lay in the future when it came, `captured_at` then the time of the arrival; for what is there already the time of now.
_NOW = "CAST(strftime('%s', 'now') AS REAL)"
_THIRD = (
    "ALTER TABLE frames ADD COLUMN claimed_at REAL",
    "ALTER TABLE verdicts ADD COLUMN claimed_at REAL",
    "UPDATE frames SET claimed_at = captured_at, captured_at = received_at WHERE captured_at > received_at + 60",
    f"UPDATE verdicts SET claimed_at = captured_at, captured_at = {_NOW} WHERE captured_at > {_NOW} + 60",
    "DROP INDEX verdicts_by_camera",
    "CREATE INDEX verdicts_by_arrival ON verdicts (camera)",  # each entry of an index ends with the row's number
)
# Version 4: what is known about the part, and where a defect is, both as JSON; id and product for filters.
_FOURTH = (
    "ALTER TABLE frames ADD COLUMN event INTEGER",
    "ALTER TABLE frames ADD COLUMN part TEXT",
    "ALTER TABLE frames ADD COLUMN part_id TEXT",
    "ALTER TABLE frames ADD COLUMN product TEXT",
    "ALTER TABLE frames ADD COLUMN regions TEXT",
    "CREATE INDEX frames_by_part ON frames (part_id) WHERE part_id IS NOT NULL",
    "CREATE INDEX frames_by_product ON frames (product, captured_at) WHERE product IS NOT NULL",
)
# Version 5: verdicts of parts; `id` is that of the first verdict, which a correction replaces. `facts` is JSON.
_FIFTH = (
    """CREATE TABLE parts (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, part_id TEXT NOT NULL, product TEXT,
        verdict TEXT NOT NULL, reason TEXT, revision INTEGER NOT NULL, ended_at REAL NOT NULL, claimed_at REAL,
        facts TEXT NOT NULL
    )""",
    "CREATE INDEX parts_by_verdict ON parts (verdict)",
    "CREATE INDEX parts_by_part ON parts (part_id)",
)
# Version 6: the history of model files. Rows are only added; `about` is the number of the step that this one answers.
_SIXTH = (
    """CREATE TABLE changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL, step TEXT NOT NULL,
        action TEXT NOT NULL, file TEXT NOT NULL, old TEXT, new TEXT NOT NULL, why TEXT NOT NULL, about INTEGER
    )""",
    "CREATE INDEX changes_by_file ON changes (file, number)",
    """CREATE TRIGGER changes_stay BEFORE DELETE ON changes
        BEGIN SELECT raise(ABORT, 'the history of changes only grows'); END""",
    """CREATE TRIGGER changes_hold BEFORE UPDATE ON changes
        BEGIN SELECT raise(ABORT, 'the history of changes only grows'); END""",
)
# Version 7: when a verdict came, which tells a camera that is silent from a recording that was read.
_SEVENTH = ("ALTER TABLE verdicts ADD COLUMN received_at REAL",)
# Version 8: the name of the model, which is that of its recipe; NULL in what earlier versions kept.
_EIGHTH = ("ALTER TABLE verdicts ADD COLUMN alias TEXT",)
Migrations = Sequence[Sequence[str]]
MIGRATIONS: Migrations = (
    _FIRST,
    _SECOND,
    _THIRD,
    _FOURTH,
    _FIFTH,
    _SIXTH,
    _SEVENTH,
    _EIGHTH,
)  # the n-th leads from version n - 1 to version n


def migrate(connection: sqlite3.Connection, migrations: Migrations = MIGRATIONS) -> None:
    """Bring a database, new or of an earlier version, to the version of this program: completely or not at all.

    Several processes may do so at once. Raises UsageError for a database of a newer version, sqlite3.Error.
    """
    if _version(connection) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        version = _version(connection)  # again, now that no other process can change it
        if version > len(migrations):
            raise UsageError(
                f"written by a newer version of andon-monitor (store version {version}, this one knows "
                f"{len(migrations)}); update this one, or give another folder"
            )
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
