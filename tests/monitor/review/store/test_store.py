"""The store keeps each frame once, whatever crashes or comes again."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.evidence.sink import EvidenceSink
from andon_monitor.formats.evidence_package import unpack
from andon_monitor.model.file import Model
from andon_monitor.review.destination import StoreDestination
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery
from andon_monitor.settings.groups import EvidenceSettings, ReviewSettings
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.commands import PATIENCE
from tests.fixtures.review_line import ALL, file_names, fill, frames, ids, inspect, known


def test_each_frame_is_there_with_its_files(store: Store) -> None:
    assert len(ids(store)) == 12
    assert len(ids(store, "good")) + len(ids(store, "borderline")) == 48
    assert len(file_names(store)) == 120
    package = store.package(ids(store)[0])
    assert package is not None
    assert unpack(package).verdict.id == ids(store)[0]


def test_what_comes_again_is_there_once(model: Model, store: Store) -> None:
    before, revision = file_names(store), store.revision()
    fill(store.folder, inspect(model, frames(30, camera="left")))  # a restart that begins anew
    assert len(ids(store)) == 12
    assert file_names(store) == before
    assert store.revision() == revision


def test_another_frame_under_a_known_id_changes_nothing(model: Model, store: Store) -> None:
    shown = ids(store)[0]
    before = store.package(shown)
    (other,) = inspect(model, frames(1, start=500))
    forged = replace(other, verdict=replace(other.verdict, id=shown, camera="forged", outcome="defect", score=99.0))
    fill(store.folder, [forged])
    assert store.package(shown) == before
    assert known(store, shown).camera != "forged"


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
    assert ready.wait(PATIENCE)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    store = Store(tmp_path / "store")
    count = store.frames.count(FrameQuery())
    assert count >= 44
    for frame in store.frames.find(FrameQuery()):
        package = store.package(frame.id)
        assert package is not None
        assert unpack(package).verdict.id == frame.id
        assert store.thumbnail(frame.id) is not None
    # It goes on where it was: the frames of before and all others, each once.
    wanted = inspect(model, frames(count + 8, every=2))
    fill(store.folder, wanted)
    count = store.frames.count(FrameQuery())
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
    assert len(store.verdicts.newest("station-1", 100)) == 40


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
