"""What each camera shows now comes from its newest verdicts."""

import re
import time
from dataclasses import replace
from pathlib import Path

from andon_monitor.inspection.frames import parse_time
from andon_monitor.model.file import Model
from andon_monitor.review import live
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery
from andon_monitor.settings.groups import EvidenceSettings

from tests.fixtures.review_line import fill, frames, inspect
from tests.fixtures.review_page import Client, serving
from tests.fixtures.small_model import START


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


def test_a_recording_is_not_silent_and_a_live_camera_falls_silent(model: Model, tmp_path: Path) -> None:
    fill(tmp_path / "store", inspect(model, frames(3, camera="recorded")))
    now = int(time.time() - START) - 90
    fill(tmp_path / "store", inspect(model, frames(3, camera="live", start=now)))
    store = Store(tmp_path / "store")
    by_name = {camera.name: camera for camera in live.cameras(store).shown}
    assert (by_name["live"].is_live, by_name["recorded"].is_live) == (True, False)
    with serving(store) as url:
        page = Client(url).get("/")[1]
        assert page.count("is-silent") == 1
        assert "recording, <time" in page
        assert "data-silence" not in Client(url).get("/?camera=recorded")[1]


def test_a_camera_that_shows_the_same_picture_again_and_again_is_frozen(model: Model, tmp_path: Path) -> None:
    same = [replace(frame, data=frames(1)[0].data) for frame in frames(live.FROZEN_VERDICTS, camera="stuck")]
    fill(tmp_path / "store", inspect(model, same))
    fill(tmp_path / "store", inspect(model, frames(20, camera="well", start=100)))
    store = Store(tmp_path / "store")
    assert {camera.name: camera.is_frozen for camera in live.cameras(store).shown} == {"stuck": True, "well": False}
    with serving(store) as url:
        assert Client(url).get("/")[1].count("frozen: the same picture") == 1


def test_a_picture_is_called_that_of_the_verdict_only_where_it_is(store: Store, model: Model) -> None:
    with serving(store) as url:
        assert Client(url).get("/")[1].count("The frame of this verdict") == 2
    few = EvidenceSettings(good_interval=1e9, borderline=0.0001)
    fill(store.folder, inspect(model, frames(6, camera="left", start=50)), few)
    with serving(store) as url:
        page = Client(url).get("/?camera=left")[1]
    assert "earlier picture: </span><b" in page
    assert 'class="last is-earlier"' in page
    assert "The frame of this verdict" not in page
    assert page.count("<li class=") == 1


def test_many_cameras_are_tiles_and_one_is_large(model: Model, tmp_path: Path) -> None:
    for i in range(8):
        fill(tmp_path / "store", inspect(model, frames(1, camera=f"c {i}&", start=i)))
    with serving(Store(tmp_path / "store")) as url:
        client = Client(url)
        assert "cameras tiles" in client.get("/")[1]
        assert "cameras tiles" not in client.get("/?view=large")[1]
        page = client.get("/?camera=c%203%26")[1]
        assert page.count("<li class=") == 1
        assert "<dt>model</dt><dd>darkness</dd>" in page
        for picture in re.findall(r'<img [^>]*src="([^"]+)"', page):  # in large: the frame itself, heatmap and regions
            status, body, headers = client.ask(picture)
            assert (status, headers["content-type"][:6], len(body) > 100) == (200, "image/", True)
        assert "/heat" in page
        assert 'href="/?camera=c+3%26"' in client.get("/")[1]


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
