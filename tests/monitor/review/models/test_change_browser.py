"""A real browser changes a threshold and takes it back: by keyboard, without script, on a phone, in the dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review import labels
from andon_monitor.review.models.line_models import LineFile
from andon_monitor.review.store import Store
from andon_monitor.review.users import line

from tests.fixtures.browser import tab
from tests.fixtures.review_line import ids
from tests.fixtures.review_page import serving

ANN = {"extra_http_headers": {"x-user": "ann"}}
PAGES = ("/model?value=20&unit=percent", "/models", "/teach", "/?view=tiles", "/?camera=left")


@pytest.fixture
def page_url(store: Store, part: LineFile) -> Iterator[str]:
    for i, frame in enumerate(ids(store)):
        labels.add_label(store, frame, "confirmed" if i < 8 else "false alarm", "", "ann")
    with serving(store, models=[part], user_header="x-user", changers=("ann",)) as url:
        yield url


def test_the_slider_shows_what_would_change_and_a_click_applies_and_undoes_it(
    part: LineFile, model: Model, page_url: str, chromium: Any
) -> None:
    with tab(chromium, **ANN) as page:
        page.goto(f"{page_url}/model")
        slider = page.locator("#rate")
        assert page.locator("form.apply").count() == 0
        slider.focus()
        slider.press("End")
        page.wait_for_selector("form.apply")
        page.wait_for_selector("h3:has-text('Newly flagged')")
        assert page.locator("[name=value]").input_value() == "20"
        page.wait_for_url("**value=20**")
        page.fill("[name=why]", "too many misses")
        slider.focus()
        slider.press("ArrowLeft")
        page.wait_for_selector("form.apply button:has-text('15 %')")
        assert page.locator("[name=why]").input_value() == "too many misses"  # what was typed stays
        page.click("form.apply button")
        page.wait_for_selector("td:has-text('too many misses')")
        assert Model.load(part.path, "cpu").card.calibration.false_alarm_rate == 0.15
        page.click("text=Undo the last change")
        page.wait_for_selector("tr:has-text('undo')")
    assert part.path.read_bytes() == model.content


def test_the_slider_says_that_a_rate_was_not_tried(page_url: str, chromium: Any) -> None:
    with tab(chromium, **ANN) as page:
        page.goto(f"{page_url}/model")
        # An answer that is not a page of a trial, as a proxy before the page may give; the browser logs no error of it.
        page.route("**/model?**", lambda route: route.fulfill(status=200, body="<p>Back in a minute.</p>"))
        page.locator("#rate").press("End")
        page.wait_for_selector("[role=alert]:has-text('Not tried, what is shown is of the rate before')")
        page.unroute("**/model?**")
        page.locator("#rate").press("Home")
        page.wait_for_selector("[role=alert]:has-text('Not tried')", state="detached")


def test_without_script_a_form_does_the_same(part: LineFile, page_url: str, chromium: Any) -> None:
    with tab(chromium, java_script_enabled=False, **ANN) as page:
        page.goto(f"{page_url}/model")
        assert not page.locator("#rate").is_visible()
        page.fill("[name=value]", "100")
        page.select_option("[name=unit]", "shift")
        page.fill("[name=parts]", "1000")
        page.click("button:has-text('Try')")
        page.fill("[name=why]", "by hand")
        page.click("form.apply button")
        page.wait_for_selector("td:has-text('by hand')")
    assert Model.load(part.path, "cpu").card.calibration.false_alarm_rate == 0.1


def test_the_pages_of_changes_are_accessible_and_fit_a_phone(
    store: Store, page_url: str, chromium: Any, tmp_path: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with tab(chromium, bypass_csp=True, viewport={"width": 360, "height": 740}, **ANN) as page:
        for path in PAGES:
            page.goto(page_url + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                found = Axe().run(page).response
                bad = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
                assert [(path, scheme, v["id"], v["nodes"][0]["html"]) for v in bad] == []
    users = tmp_path / "users"
    users.write_text(line("ann", "secret"))
    with serving(store, users_file=users) as url, tab(chromium, bypass_csp=True) as page:
        page.goto(f"{url}/defects")
        found = Axe().run(page).response
        assert [v["id"] for v in found["violations"] if v["impact"] in ("serious", "critical")] == []
        page.fill("[name=name]", "ann")
        page.fill("[name=password]", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector(".tile")
        page.click("text=Sign out")
        page.wait_for_selector("[name=password]")
