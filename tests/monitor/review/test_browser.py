"""A real browser on the page: news, the heatmap, labels, keys, and what a checker says of accessibility."""

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.common.times import rfc3339
from andon_monitor.model.file import Model
from andon_monitor.parts.joiner import Joiner
from andon_monitor.review import labels
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery

from tests.fixtures.browser import tab
from tests.fixtures.part_views import RULES, make_view
from tests.fixtures.review_line import fill, frames, inspect
from tests.fixtures.review_page import serving
from tests.fixtures.small_model import START

PAGES = ("/", "/defects", "/borderline", "/model", "/frames/{id}")


def add_parts(store: Store) -> None:
    """A good part, a defect that leads to a picture, and one with a long name that lacks a view."""
    views = [make_view("1", "top"), make_view("1", "left")]
    views += [replace(make_view("2", "top", outcome="defect"), id=newest(store))]
    views += [make_view("2", "left", outcome="uninspectable"), make_view("3" * 200, "top", product="cover")]
    joiner = Joiner(RULES)
    verdicts = [verdict for view in views for verdict in joiner.add(view)[1]] + joiner.finish()
    assert store.add(parts=[verdict.to_json().encode() for verdict in verdicts]) == []


def newest(store: Store) -> str:
    return store.frames.find(FrameQuery(kind="defect"))[0].id


def test_the_pages_update_when_a_defect_arrives(model: Model, store: Store, url: str, browser: Any) -> None:
    browser.goto(url)
    browser.wait_for_selector("text=left")
    assert browser.locator(".camera").count() == 2
    fill(store.folder, inspect(model, frames(1, camera="left", start=50)))
    browser.wait_for_selector(".camera.is-good:has-text('left')")
    fill(store.folder, inspect(model, frames(1, every=1, camera="left", start=60)))
    browser.wait_for_selector(".camera.is-defect:has-text('left')")
    browser.goto(f"{url}/defects")
    assert browser.locator(".tile").count() == 13
    fill(store.folder, inspect(model, frames(1, every=1, camera="top", start=61)))
    browser.wait_for_selector(".tile:has-text('top')")
    assert browser.locator(".tile").count() == 14


def test_a_silent_camera_is_called_silent_whatever_it_said_last(model: Model, store: Store, chromium: Any) -> None:
    """With a long silence a camera is what it said last, else it is silent; a recording never is."""
    now = int(time.time() - START) - 100
    fill(store.folder, inspect(model, frames(1, every=1, camera="press", start=now)))
    for silence, said in ((1e9, "defect"), (60.0, "silent")):
        with serving(store, silence=silence) as url, tab(chromium) as page:
            page.goto(url)
            page.wait_for_selector(".age:has-text(' ago')")
            assert page.locator(".camera:has-text('press') .verdict").inner_text().endswith(said)
            assert page.locator(".camera:has-text('left') .verdict").inner_text().endswith("defect")
            assert "recording" in page.locator(".camera:has-text('left') .age").inner_text()


def test_what_was_said_by_whom_and_when_is_beside_the_picture(store: Store, url: str, browser: Any) -> None:
    step = labels.add_label(store, newest(store), "confirmed", "dent", "ann")
    browser.goto(f"{url}/frames/{newest(store)}")
    said = browser.locator("p[role=status]")
    assert re.search(r"dent\s+by ann, .*\d", said.inner_text())
    assert said.locator("time").get_attribute("datetime") == rfc3339(step.at)


def test_a_borderline_frame_that_is_none_is_good_not_a_false_alarm(store: Store, url: str, browser: Any) -> None:
    browser.goto(f"{url}/borderline")
    browser.locator(".tile").first.click()
    browser.click(".labels button:has-text('Good')")
    browser.wait_for_selector(".tag:has-text('good')")
    assert "false alarm" not in browser.locator("main").inner_text().lower()


def test_the_slider_fades_the_heatmap_and_is_remembered(store: Store, url: str, browser: Any) -> None:
    browser.goto(f"{url}/frames/{newest(store)}")

    def redness() -> int:
        """The sum of red over green in the stage, as it is seen."""
        shot = browser.locator(".stage").screenshot()
        decoded = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        seen = decoded.astype(int)
        return int((seen[:, :, 2] - seen[:, :, 1]).clip(0).sum())

    before = redness()
    assert before > 0
    browser.locator("#opacity").fill("0")
    assert redness() == 0
    browser.locator("#opacity").fill("100")
    assert redness() > before
    browser.locator("#opacity").fill("30")
    browser.keyboard.press("Escape")
    with browser.expect_navigation():
        browser.locator("text=Older").first.click()
    assert browser.locator("#opacity").input_value() == "30"
    assert browser.evaluate("getComputedStyle(document.querySelector('#heat')).opacity") == "0.3"


def test_a_label_is_given_changed_and_undone_by_hand_and_by_key(store: Store, url: str, browser: Any) -> None:
    frame = newest(store)
    browser.goto(f"{url}/frames/{frame}")
    browser.fill("input[name=kind]", "Deep scratch")
    browser.click("text=Confirm defect")
    browser.wait_for_selector(".tag:has-text('deep-scratch')")
    browser.wait_for_load_state()
    browser.keyboard.press("f")
    browser.wait_for_selector(".tag:has-text('false alarm')")
    browser.click("text=Undo")
    browser.wait_for_selector(".tag:has-text('deep-scratch')")
    browser.wait_for_load_state()
    browser.keyboard.press("z")
    browser.wait_for_selector("text=No label yet")
    browser.wait_for_load_state()
    assert [step.step for step in store.labels.history(frame)] == ["label", "label", "undo", "undo"]
    browser.keyboard.press("u")
    browser.wait_for_selector(".tag:has-text('unsure')")
    browser.goto(f"{url}/defects?label=unsure")
    assert browser.locator(".tile").count() == 1
    assert frame in (browser.locator(".tile").get_attribute("href") or "")


def test_keys_and_swipes_go_through_the_gallery(store: Store, url: str, chromium: Any, browser: Any) -> None:
    ids = [frame.id for frame in store.frames.find(FrameQuery(kind="defect"))]
    browser.goto(f"{url}/defects")
    browser.keyboard.press("ArrowRight")
    browser.keyboard.press("ArrowRight")
    browser.keyboard.press("Enter")
    browser.wait_for_url(f"**/{ids[1]}")
    browser.keyboard.press("ArrowRight")
    browser.wait_for_url(f"**/{ids[2]}")
    browser.keyboard.press("ArrowLeft")
    browser.wait_for_url(f"**/{ids[1]}")
    with tab(chromium, viewport={"width": 390, "height": 844}, has_touch=True) as page:
        page.goto(f"{url}/frames/{ids[1]}")
        swipe = """(step) => {
          const stage = document.querySelector(".stage");
          const at = (x) => [new Touch({identifier: 1, target: stage, clientX: x, clientY: 300})];
          stage.dispatchEvent(new TouchEvent("touchstart", {changedTouches: at(200)}));
          stage.dispatchEvent(new TouchEvent("touchend", {changedTouches: at(200 + step)}));
        }"""
        page.evaluate(swipe, -120)
        page.wait_for_url(f"**/{ids[2]}")


def test_filters_choose_what_is_shown_and_where_the_neighbours_are(store: Store, url: str, browser: Any) -> None:
    browser.goto(f"{url}/defects")
    browser.select_option("select[name=camera]", "right")
    with browser.expect_navigation(url="**camera=right**"):
        browser.click("text=Show")
    assert browser.locator(".tile").count() == 6
    with browser.expect_navigation():
        browser.locator(".tile").last.click()
    assert browser.locator("text=Older").first.evaluate("element => element.tagName") == "SPAN"
    browser.click("text=Newer")
    browser.wait_for_url(re.compile("camera=right"))
    assert "right" in browser.locator("h1").inner_text()


def test_times_are_the_readers_own_in_filters_too(store: Store, url: str, chromium: Any) -> None:
    with tab(chromium, timezone_id="Asia/Tokyo") as page:
        page.goto(f"{url}/defects")
        assert "UTC" not in page.locator(".filters").inner_text()
        page.fill("input[name=since]", "2026-01-05T15:01")  # 06:01 UTC: after those of the camera on the left
        page.click("text=Show")
        page.wait_for_url("**/defects?since=2026-01-05T06%3A01%3A00.000Z")
        assert page.locator(".tile").count() == 6
        assert page.input_value("input[name=since]") == "2026-01-05T15:01"
    with tab(chromium, java_script_enabled=False) as page:
        page.goto(f"{url}/defects?since=2026-01-05T06%3A01%3A00.000Z")
        assert "From (UTC)" in page.locator(".filters").inner_text()
        assert page.input_value("input[name=since]") == "2026-01-05T06:01"


def test_filters_are_folded_away_on_a_phone_unless_they_are_in_use(url: str, chromium: Any) -> None:
    for width, query, shown in ((1280, "", True), (390, "", False), (390, "?camera=left", True)):
        with tab(chromium, viewport={"width": width, "height": 800}) as page:
            page.goto(f"{url}/defects{query}")
            assert page.locator("select[name=camera]").is_visible() == shown
            if not shown:
                page.click("summary")
                assert page.locator("select[name=camera]").is_visible()


def test_under_a_prefix_news_arrive_and_labels_are_given(model: Model, store: Store, chromium: Any) -> None:
    with serving(store, prefix="/line/andon") as url, tab(chromium) as browser:
        browser.goto(f"{url}/defects")
        fill(store.folder, inspect(model, frames(1, every=1, camera="top", start=61)))
        browser.wait_for_selector(".tile:has-text('top')")
        browser.locator(".tile").first.click()
        browser.click("text=False alarm")
        browser.wait_for_selector(".tag:has-text('false alarm')")
        browser.click("text=Undo")
        browser.wait_for_selector("text=No label yet")
        assert browser.url.startswith(f"{url}/frames/")
        assert browser.locator(".stage img").first.evaluate("image => image.naturalWidth") > 0


@pytest.mark.parametrize("path", PAGES)
def test_first_paint_needs_no_script(store: Store, url: str, chromium: Any, path: str) -> None:
    labels.add_label(store, newest(store), "confirmed", "dent", "ann")
    with tab(chromium, java_script_enabled=False) as page:
        page.goto(url + path.format(id=newest(store)))
        assert page.locator("h1").count() == 1
        pictures = page.locator("main img")
        assert pictures.count() > 0
        if path.startswith("/frames"):
            page.click("text=Undo")
            page.wait_for_selector("text=No label yet")


@pytest.mark.parametrize("path", [*PAGES, "/parts"])
def test_axe_finds_nothing_serious(store: Store, url: str, chromium: Any, path: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    labels.add_label(store, newest(store), "confirmed", "dent", "ann")
    add_parts(store)
    # axe reads the page from within, which our policy forbids to scripts that are not ours.
    with tab(chromium, bypass_csp=True) as page:
        page.goto(url + path.format(id=newest(store)))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page).response
            assert len(found["passes"]) > 10
            bad = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
            assert [(scheme, v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in bad] == []


def test_nothing_is_wider_than_a_phone(store: Store, url: str, chromium: Any) -> None:
    add_parts(store)
    with tab(chromium, viewport={"width": 360, "height": 740}, is_mobile=True) as page:
        for path in (*PAGES, "/parts"):
            page.goto(url + path.format(id=newest(store)))
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
            for control in page.locator("header nav a, .labels button, .turn a").all():
                assert control.bounding_box()["height"] >= 40


def test_a_verdict_is_legible_at_three_metres(store: Store, url: str, chromium: Any) -> None:
    """On a 10 inch tablet, 150 CSS pixels an inch, capitals (0.72 em) of a verdict are 10 mm: 11 minutes of arc, where
    good sight needs 5; a camera's name has those 5, and the sign and colour of a verdict are seen before it is read.
    """
    with tab(chromium, viewport={"width": 1280, "height": 800}) as page:
        page.goto(url)
        for what, least in ((".verdict", 80), (".camera h2", 36)):
            height = float(page.locator(what).first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)"))
            assert height >= least, what


def test_hostile_names_run_no_script(model: Model, tmp_path: Path, chromium: Any) -> None:
    name = "<img src=x onerror=document.title='taken'><script>document.title='taken'</script>"
    store = fill(tmp_path / "hostile", inspect(model, frames(5, camera=name)))
    with serving(store) as url, tab(chromium) as browser:
        for path in PAGES:
            browser.goto(url + path.format(id=newest(store)))  # until all has loaded, or failed to
            assert browser.title() != "taken"
