"""Two models compared from the page on a recording: in a real browser, by who may, and whatever goes wrong."""

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.model.file import Model
from andon_monitor.model.recalibration import with_rate
from andon_monitor.review import labels
from andon_monitor.review.background import LOCK
from andon_monitor.review.models.comparing import Comparing
from andon_monitor.review.models.line_models import LineFile
from andon_monitor.review.recordings import choose_recording, find_recordings
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import ReviewSettings

from tests.fixtures.browser import tab
from tests.fixtures.review_line import frames, ids
from tests.fixtures.review_page import PATIENCE, Client, serving
from tests.monitor.review.models.test_pages import USERS, send

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="comparisons are started on Linux and macOS alone")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder with a folder of twenty images, a video that is none, and things that are no recordings."""
    folder = tmp_path / "recordings"
    for frame in frames(20, start=300):
        path = folder / "night" / f"{frame.position.offset}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(frame.data)
    (folder / "broken.mp4").write_text("no video")
    (folder / "notes.txt").touch()
    (folder / "empty").mkdir()
    os.utime(folder / "broken.mp4", (1, 1))
    return folder


def keep_other(store: Store, model: Model) -> str:
    """The model with a threshold that flags half of the good parts; it was on the line once."""
    content, card = with_rate(model.content, "part.onnx", 0.5)
    sha256 = store.model_files.keep(content)
    store.models.add(sha256, "part", card)
    with store.changes.adding("ann", "applied", "threshold", "part", None, sha256):
        pass
    return sha256


def test_a_visitor_compares_two_models_and_sees_what_differs(
    store: Store, part: LineFile, model: Model, recordings: Path, chromium: Any
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    other = keep_other(store, model)
    settings = USERS | {"recordings": recordings, "fit_cores": 1}
    with (
        serving(store, models=[part], **settings) as url,
        tab(
            chromium, bypass_csp=True, viewport={"width": 360, "height": 740}, extra_http_headers={"x-user": "ann"}
        ) as page,
    ):
        page.goto(f"{url}/models")
        page.click("text=Compare two on a recording")
        assert page.locator("[name=old]").input_value() == model.sha256
        assert page.locator("[name=new]").input_value() == other
        assert page.locator("[name=recording] option").all_inner_texts() == ["night", "broken.mp4"]
        page.click("button:has-text('Compare')")
        page.wait_for_selector("text=/[1-9][0-9]* of 20 verdicts differ: [0-9]+ now a defect/", timeout=1000 * PATIENCE)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page).response
            assert [v["id"] for v in found["violations"] if v["impact"] in ("serious", "critical")] == []
        page.click("text=Pictures of what differs")
        page.wait_for_selector("h2:has-text('Now a defect')")
        assert page.locator("figure img[alt=frame]").first.evaluate("image => image.naturalWidth") > 0


def test_what_goes_wrong_is_said_and_nobody_else_may(
    store: Store, part: LineFile, model: Model, recordings: Path
) -> None:
    other = keep_other(store, model)
    for frame in ids(store):
        labels.add_label(store, frame, "confirmed", "", "ann")
    with serving(store, models=[part], **USERS, recordings=recordings, fit_cores=1) as url:
        ann, eve = Client(url, x_user="ann"), Client(url, x_user="eve")
        for fields, said in [
            ({"old": other, "new": other, "recording": "night"}, "the same"),
            ({"old": model.sha256, "new": "../../part", "recording": "night"}, "is not kept"),
            ({"old": model.sha256, "new": other, "recording": "../part.onnx"}, "is not in review.recordings"),
        ]:
            status, page = send(ann, "/compare", "/compare/start", **fields)
            assert (status, said in page) == (400, True)
        chosen = {"old": model.sha256, "new": other, "recording": "broken.mp4"}
        assert send(ann, "/compare", "/compare/start", **chosen)[0] == 200
        comparing, waited = Comparing(store, ReviewSettings()), threading.Event()
        while comparing.state().phase == "running":
            waited.wait(0.1)
        assert "No comparison: " in ann.get("/compare")[1]
        assert "broken.mp4" in ann.get("/compare")[1]
        assert ann.get("/compare/report")[0] == 404
        assert "/compare/start" not in eve.get("/compare")[1]
        for action in ("start", "stop"):
            assert eve.ask(f"/compare/{action}", b"x=1")[0] == 403
            assert ann.ask(f"/compare/{action}", b"x=1")[0] == 403


def test_one_at_a_time_and_stopped_for_good(
    store: Store, model: Model, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import time; time.sleep({PATIENCE})")  # its process hangs
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(p for p in sys.path if p)}")
    comparing = Comparing(store, ReviewSettings(fit_cores=1))
    sides = ("part", store.model_files.keep(model.content)), ("a/b", keep_other(store, model))
    night = choose_recording(recordings, "night")
    comparing.start(*sides, night, "ann")
    other = Comparing(store, ReviewSettings(fit_cores=1))  # another page, after a restart
    state = other.state()
    assert state.plan is not None
    assert (state.phase, state.plan.new[:4], state.plan.recording) == ("running", "a-b-", "night")
    with pytest.raises(UsageError, match="is running"):
        other.start(*sides, night, "bob")
    other.stop()
    assert other.state().phase == "none"
    assert [path.name for path in comparing.folder.iterdir()] == [LOCK]
    with pytest.raises(UsageError, match="no comparison is running"):
        other.stop()


def test_recordings_are_chosen_by_name_alone(recordings: Path) -> None:
    assert [recording.name for recording in find_recordings(recordings)] == ["night", "broken.mp4"]
    assert [recording.name for recording in find_recordings(recordings / "night")] == ["night"]
    assert find_recordings(None) == find_recordings(recordings / "missing") == []
    with pytest.raises(UsageError, match=r"'\.\./night' is not in"):
        choose_recording(recordings, "../night")
