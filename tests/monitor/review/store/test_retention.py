"""The store stays within its limits, and never fills the disk."""

import time
from pathlib import Path
from typing import NamedTuple

import pytest
from andon_monitor.evidence.sink import EvidenceSink
from andon_monitor.model.file import Model
from andon_monitor.review import labels
from andon_monitor.review.destination import StoreDestination
from andon_monitor.review.store import Store
from andon_monitor.review.store.retention import GOOD_SHARE
from andon_monitor.review.store.rows import FrameQuery
from andon_monitor.settings.groups import ReviewSettings
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.review_line import ALL, file_names, fill, frames, ids, inspect, known


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "frames").glob("*/*.zip"))


def test_beyond_its_size_the_oldest_without_a_label_go_first(model: Model, tmp_path: Path) -> None:
    found = inspect(model, frames(20, every=2))
    store = fill(tmp_path / "store", found)
    oldest = ids(store)[-1]
    labels.add_label(store, oldest, "confirmed", "dent", "ann")
    small = Store(tmp_path / "store", ReviewSettings(keep_bytes=5000))
    small.retention.apply()
    assert ids(small)[-1] == oldest  # and its label with it
    assert known(small, oldest).label == "confirmed"
    assert sizes(tmp_path / "store") <= 5000
    assert {name[:32] for name in file_names(small)} == {f.id for f in small.frames.find(FrameQuery(with_picture=True))}


def test_good_frames_do_not_push_out_defects(model: Model, tmp_path: Path) -> None:
    store = fill(tmp_path / "store", inspect(model, frames(40, every=10)))
    defects, limit = ids(store), sizes(tmp_path / "store") + 1000
    small = Store(tmp_path / "store", ReviewSettings(keep_bytes=limit))
    before = small.frames.total_bytes("good")
    small.retention.apply()
    assert before > GOOD_SHARE * limit >= small.frames.total_bytes("good") > 0
    assert ids(small) == defects


def test_a_full_store_makes_room_for_what_is_new_and_is_never_over_its_size(model: Model, tmp_path: Path) -> None:
    found = inspect(model, frames(60, every=1))
    limits = ReviewSettings(keep_bytes=150_000)
    destination = StoreDestination(tmp_path / "store", limits)
    sink = EvidenceSink(destination, ALL, Metrics())
    for i in range(0, 60, 6):
        sink.write(found[i : i + 6])
        assert sizes(tmp_path / "store") <= 150_000
        newest = Store(tmp_path / "store").frames.find(FrameQuery(kind="defect"), limit=1)[0]
        assert newest.id == found[i + 5].verdict.id
        assert newest.bytes > 0
    assert sizes(tmp_path / "store") > 120_000  # no more was deleted than had to be


def test_without_room_on_the_disk_frames_are_known_without_a_picture(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "andon_monitor.review.store.retention.shutil.disk_usage", lambda folder: Usage(10**12, 10**12 - 5, 5)
    )
    store = fill(tmp_path / "store", inspect(model, frames(10)))
    assert file_names(store) == set()
    assert len(ids(store)) == 2
    assert known(store, ids(store)[0]).bytes == 0


def test_frames_without_a_label_go_with_time(model: Model, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    labels.add_label(store, ids(store)[3], "unsure", "", "ann")
    now = time.time()
    monkeypatch.setattr("andon_monitor.review.store.retention.time.time", lambda: now + 31 * 86_400)
    store.retention.apply()
    assert len(ids(store)) == 1
    assert ids(store, "good") == []
