"""The pages of a set-up in a real browser: on a phone, in the dark, checked by axe, and without script."""

from pathlib import Path
from typing import Any

import yaml
from andon_monitor.model.file import Model

from tests.fixtures.browser import tab
from tests.fixtures.setup_page import setting_up, settings_of

STEPS = ("source", "images", "mask", "fit", "report", "rate", "deploy")
ANN = {"extra_http_headers": {"x-user": "ann"}}
USERS = {"user_header": "x-user", "changers": ("ann",)}


def test_without_script_a_line_is_deployed_and_its_recipe_changed_and_all_fits_a_phone(
    prepared: Path, model: Model, chromium: Any
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    line = prepared / "lines" / "press.yaml"
    with setting_up(settings_of(prepared, **USERS)) as url:
        with tab(chromium, java_script_enabled=False, **ANN) as page:
            page.goto(f"{url}/setup")
            page.click("main >> text=Go on")
            page.fill("[name=line]", "press")
            page.uncheck("[name=here]")
            page.fill("[name=why]", "a first one")
            page.click("button:has-text('Deploy')")
            page.wait_for_selector("h1:has-text('press')")
            page.fill("[name=camera]", "left*")
            page.fill("[name=false_alarm_rate]", "0,05")
            page.fill("[name=why]", "only the left one")
            page.click("button:has-text('Change')")
            page.wait_for_selector("[name=camera][value='left*']")
        recipe = {"name": "bottle", "model": str(line.parent / "bottle.onnx"), "camera": "left*"}
        assert yaml.safe_load(line.read_text())["recipes"] == [recipe | {"false_alarm_rate": 0.05}]
        paths = ["/setup", "/lines/press", *(f"/setup/bottle/{step}" for step in STEPS)]
        with tab(chromium, bypass_csp=True, viewport={"width": 360, "height": 740}, **ANN) as page:
            for i, path in enumerate(paths):
                page.goto(url + path)
                assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
                page.emulate_media(color_scheme=("light", "dark")[i % 2])
                found = Axe().run(page).response["violations"]
                serious = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
                assert serious == [], (path, [(one["id"], one["nodes"][0]["html"]) for one in found])
