"""What each camera shows now comes from its newest verdicts."""

from pathlib import Path

from andon_monitor.model.file import Model
from andon_monitor.review import live
from andon_monitor.review.store import Store

from tests.fixtures.review_line import fill, frames, inspect


def test_a_camera_shows_its_newest_verdict_curve_rate_and_picture(store: Store) -> None:
    left, right = live.cameras(store)
    assert (left.name, right.name) == ("left", "right")
    assert (left.verdict, left.defects, left.inspected, left.rate) == ("defect", 6, 30, 0.2)
    assert len(left.ratios) == 30
    assert left.ratios[-1] == left.ratio
    assert left.ratio is not None
    assert left.ratio > 1
    assert left.picture is not None
    assert (left.picture.captured_at, left.picture.verdict) == (left.captured_at, "defect")
    assert live.cameras(store, now=left.captured_at + 7)[0].age == 7


def test_cameras_are_in_the_order_in_which_people_count(model: Model, tmp_path: Path) -> None:
    for i, name in enumerate(("press-10", "press-2", "lamp")):
        fill(tmp_path / "store", inspect(model, frames(1, camera=name, start=i)))
    assert [camera.name for camera in live.cameras(Store(tmp_path / "store"))] == ["lamp", "press-2", "press-10"]
