"""The page of a comparison in a real browser."""

from pathlib import Path
from typing import Any

from tests.fixtures.browser import tab
from tests.fixtures.commands import andon


def test_the_page_is_drawn_accessible_and_fits_a_phone(
    line: Path, model_path: Path, lower: Path, tmp_path: Path, chromium: Any
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "page.html"
    options = ("--report", path, "--max-false-alarms", "0")
    assert andon("compare", line, "--model", lower, "--baseline", model_path, *options).returncode == 1
    with tab(chromium) as page:
        page.goto(path.as_uri())
        text = page.locator("main").inner_text()
        for said in ("instead of part.onnx", "New false alarm", "broken", "If both sides were equally good"):
            assert said in text
        for scheme, width in (("light", 1280), ("dark", 360)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 740})
            found = Axe().run(page).response
            assert len(found["passes"]) > 10
            bad = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
            assert [(scheme, v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in bad] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
