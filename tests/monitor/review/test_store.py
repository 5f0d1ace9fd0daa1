"""The store keeps each frame once, whatever crashes or comes again, and never fills the disk."""

import multiprocessing
import os
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.evidence.sink import EvidenceSink
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.model.file import Model
from andon_monitor.review import gallery, labels
from andon_monitor.review.filling import StoreDestination
from andon_monitor.review.gallery import Filters
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import EvidenceSettings, ReviewSettings
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.review_line import ALL, fill, frames, inspect


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def ids(store: Store, kind: str = "defect") -> list[str]:
    return [row["id"] for row in gallery.find(store, kind, Filters())]


def files(store: Store) -> set[str]:
    return {path.name for path in (store.folder / "frames").glob("*/*")}


def test_each_frame_is_there_with_its_files(store: Store) -> None:
    assert len(ids(store)) == 12
    assert len(ids(store, "good")) + len(ids(store, "borderline")) == 48
    assert len(files(store)) == 120
    package = store.package(ids(store)[0])
    assert package is not None
    assert unpack(package).verdict.id == ids(store)[0]


def test_what_comes_again_is_there_once(model: Model, store: Store) -> None:
    before, revision = files(store), store.revision()
    fill(store.folder, inspect(model, frames(30, camera="left")))  # a restart that begins anew
    assert len(ids(store)) == 12
    assert files(store) == before
    assert store.revision() == revision


def test_another_frame_under_a_known_id_changes_nothing(model: Model, store: Store) -> None:
    shown = ids(store)[0]
    before = store.package(shown)
    (other,) = inspect(model, frames(1, start=500))
    forged = replace(other, verdict=replace(other.verdict, id=shown, camera="forged", outcome="defect", score=99.0))
    fill(store.folder, [forged])
    assert store.package(shown) == before
    assert gallery.frame(store, shown)["camera"] != "forged"


def write_until_killed(folder: Path, model_path: Path, ready: "multiprocessing.synchronize.Event") -> None:
    model = Model.load(model_path, "cpu")
    sink = EvidenceSink(StoreDestination(folder, ReviewSettings()), ALL, Metrics())
    for i in range(0, 4000, 4):
        sink.write(inspect(model, frames(4, every=2, start=i)))
        if i == 40:
            ready.set()


def test_a_writer_that_is_killed_leaves_whole_frames_alone(model: Model, model_path: Path, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=write_until_killed, args=(tmp_path / "store", model_path, ready))
    process.start()
    assert ready.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    store = Store(tmp_path / "store")
    (count,) = store.connection.execute("SELECT count(*) FROM frames").fetchone()
    assert count >= 44
    for frame_id in [row["id"] for row in store.connection.execute("SELECT id FROM frames")]:
        package = store.package(frame_id)
        assert package is not None
        assert unpack(package).verdict.id == frame_id
        assert store.thumbnail(frame_id) is not None
    # It goes on where it was: the frames of before and all others, each once.
    wanted = inspect(model, frames(count + 8, every=2))
    fill(store.folder, wanted)
    (count,) = store.connection.execute("SELECT count(*) FROM frames").fetchone()
    assert count == len(wanted)


def test_two_writers_at_once_lose_and_double_nothing(model: Model, tmp_path: Path) -> None:
    first, second = (
        EvidenceSink(StoreDestination(tmp_path / "store", ReviewSettings()), ALL, Metrics()) for _ in range(2)
    )
    shared = inspect(model, frames(40))
    for i in range(0, 40, 4):  # both took the frames in the middle
        first.write(shared[i : i + 4])
        second.write(shared[max(0, i - 2) : i + 2])
    store = Store(tmp_path / "store")
    assert len(ids(store)) == 8
    assert store.connection.execute("SELECT count(*) FROM verdicts").fetchone()[0] == 40


def test_beyond_its_size_the_oldest_without_a_label_go_first(model: Model, tmp_path: Path) -> None:
    found = inspect(model, frames(20, every=2))
    store = fill(tmp_path / "store", found)
    oldest = ids(store)[-1]
    labels.give(store, oldest, "confirmed", "dent", "ann")
    small = Store(tmp_path / "store", ReviewSettings(keep_bytes=5000))
    small.tidy()
    assert ids(small)[-1] == oldest  # and its label with it
    assert gallery.frame(small, oldest)["label"] == "confirmed"
    assert sizes(tmp_path / "store") <= 5000
    assert {name[:32] for name in files(small)} == {
        row["id"] for row in small.connection.execute("SELECT id FROM frames WHERE bytes > 0")
    }


def sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "frames").glob("*/*.zip"))


def test_a_full_store_makes_room_for_what_is_new_and_is_never_over_its_size(model: Model, tmp_path: Path) -> None:
    found = inspect(model, frames(60, every=1))
    limits = ReviewSettings(keep_bytes=150_000)
    destination = StoreDestination(tmp_path / "store", limits)
    sink = EvidenceSink(destination, ALL, Metrics())
    for i in range(0, 60, 6):
        sink.write(found[i : i + 6])
        assert sizes(tmp_path / "store") <= 150_000
        newest = gallery.find(Store(tmp_path / "store"), "defect", Filters())[0]
        assert newest["id"] == found[i + 5].verdict.id
        assert newest["bytes"] > 0
    assert sizes(tmp_path / "store") > 120_000  # no more was let go of than had to be


def test_without_room_on_the_disk_frames_are_known_without_a_picture(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("andon_monitor.review.store.shutil.disk_usage", lambda folder: Usage(10**12, 10**12 - 5, 5))
    store = fill(tmp_path / "store", inspect(model, frames(10)))
    assert files(store) == set()
    assert len(ids(store)) == 2
    assert gallery.frame(store, ids(store)[0])["bytes"] == 0


def test_frames_without_a_label_go_with_time(model: Model, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    labels.give(store, ids(store)[3], "unsure", "", "ann")
    now = time.time()
    monkeypatch.setattr("andon_monitor.review.store.time.time", lambda: now + 31 * 86_400)
    store.tidy()
    assert len(ids(store)) == 1
    assert ids(store, "good") == []


def test_files_that_a_crash_left_are_removed_in_time(store: Store) -> None:
    left = store.folder / "frames" / "ab" / ("ab" * 16 + ".zip")
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half")
    Store(store.folder)
    assert left.exists()  # it may be another process's, which writes its row next
    os.utime(left, (0, 0))
    Store(store.folder)
    assert not left.exists()


def test_a_burst_is_cut_off_and_counted(model: Model, tmp_path: Path) -> None:
    metrics = Metrics()
    settings = EvidenceSettings(rate=0.001, burst=3)
    sink = EvidenceSink(StoreDestination(tmp_path / "store", ReviewSettings()), settings, metrics)
    sink.write(inspect(model, frames(20, every=1)))
    assert len(ids(Store(tmp_path / "store"))) == 3
    assert metrics.registry.get_sample_value("andon_evidence_total", {"kind": "defect"}) == 3
    assert metrics.registry.get_sample_value("andon_evidence_skipped_total", {"kind": "defect", "reason": "rate"}) == 17


def test_a_folder_that_cannot_be_a_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "review.sqlite").write_text("no database, though it is called one")
    for folder in (tmp_path / "file", tmp_path):
        with pytest.raises(UsageError, match="cannot be the store") as raised:
            Store(folder)
        assert "\n" not in str(raised.value)


def test_10_000_defects_are_found_through_indexes(store: Store) -> None:
    """Not by a clock: what SQLite says it will do."""
    with store.changing() as connection:
        row = dict(connection.execute("SELECT * FROM frames WHERE kind = 'defect'").fetchone())
        names = ", ".join(f'"{name}"' for name in row)
        for i in range(10_000):
            new = row | {"number": 1000 + i, "id": f"{i:032x}", "captured_at": row["captured_at"] + i}
            connection.execute(f"INSERT INTO frames ({names}) VALUES ({', '.join('?' * len(new))})", [*new.values()])
    page = gallery.find(store, "defect", Filters())
    assert len(page) == gallery.PAGE + 1
    assert gallery.count(store, "defect", Filters()) == 10_012
    last = page[-2]
    following = gallery.find(store, "defect", Filters(), (last["captured_at"], last["number"]))
    assert following[0]["id"] == page[-1]["id"]
    steps: list[str] = []
    asked: list[str] = []
    store.connection.set_trace_callback(asked.append)
    gallery.find(store, "defect", Filters(), (last["captured_at"], last["number"]))
    gallery.neighbours(store, last, Filters())
    store.connection.set_trace_callback(None)
    for query in asked:
        steps += [row["detail"] for row in store.connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert not [step for step in steps if step.startswith("SCAN")], steps
    assert not [step for step in steps if "TEMP B-TREE FOR ORDER BY" in step], steps


def test_the_history_of_labels_cannot_be_rewritten_unseen(store: Store) -> None:
    labels.give(store, ids(store)[0], "confirmed", "", "ann")
    other = sqlite3.connect(store.folder / "review.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        other.execute("UPDATE labels SET who = 'bob'")
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        other.execute("DELETE FROM labels")
