"""What each camera shows now comes from its newest verdicts."""

import time
from dataclasses import replace
from pathlib import Path

from andon_monitor.inspection.frames import parse_time
from andon_monitor.model.file import Model
from andon_monitor.review import live
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery

from tests.fixtures.review_line import fill, frames, inspect
from tests.fixtures.review_page import Client, serving


def test_a_camera_shows_its_newest_verdict_curve_rate_and_picture(store: Store) -> None:
    left, right = live.cameras(store).shown
    assert (left.name, right.name) == ("left", "right")
    assert (left.verdict, left.defects, left.inspected, left.rate) == ("defect", 6, 30, 0.2)
    assert len(left.ratios) == 30
    assert left.ratios[-1] == left.ratio
    assert left.ratio is not None
    assert left.ratio > 1
    assert left.picture is not None
    assert (left.picture.captured_at, left.picture.verdict) == (left.captured_at, "defect")
    assert live.cameras(store, now=left.captured_at + 7).shown[0].age == 7


def test_cameras_are_in_the_order_in_which_people_count(model: Model, tmp_path: Path) -> None:
    for i, name in enumerate(("press-10", "press-2", "lamp")):
        fill(tmp_path / "store", inspect(model, frames(1, camera=name, start=i)))
    assert [camera.name for camera in live.cameras(Store(tmp_path / "store")).shown] == ["lamp", "press-2", "press-10"]


def test_a_verdict_from_the_future_does_not_hide_those_that_come_later(model: Model, tmp_path: Path) -> None:
    """It is shown, at its time of arrival, and the page and the log say that the clock is ahead."""
    first, *others = inspect(model, frames(20))
    future = replace(first, verdict=replace(first.verdict, captured_at=parse_time("9999-01-01T00:00:00Z")))
    fill(tmp_path / "store", [future])
    store = Store(tmp_path / "store")
    now = time.time()
    (camera,) = live.cameras(store).shown
    assert camera.age < 60
    assert camera.claimed_at == future.verdict.captured_at
    with serving(store) as url:
        assert "Its clock is ahead: 9999-01-01" in Client(url).get("/")[1]
        for page in ("/defects", "/good", "/borderline", "/model"):
            assert Client(url).get(page)[0] == 200
    fill(tmp_path / "store", others)
    (camera,) = live.cameras(Store(tmp_path / "store")).shown
    assert (camera.verdict, camera.captured_at) == (others[-1].verdict.outcome, others[-1].verdict.captured_at)
    assert camera.claimed_at is None
    assert all(frame.captured_at <= now + 60 for frame in store.frames.find(FrameQuery()))


def test_invented_names_do_not_push_out_cameras_and_what_is_not_shown_is_counted(model: Model, tmp_path: Path) -> None:
    fill(tmp_path / "store", inspect(model, frames(5, camera="press")))
    for i in range(live.MAX_CAMERAS + 2):
        fill(tmp_path / "store", inspect(model, frames(1, camera=f"a{i}", start=10 + i)))
    store = Store(tmp_path / "store")
    found = live.cameras(store)
    assert "press" in [camera.name for camera in found.shown]
    assert (len(found.shown), found.others) == (live.MAX_CAMERAS, 3)
    with serving(store) as url:
        page = Client(url).get("/")[1]
    assert "3 more cameras with fewer verdicts are not shown" in page
