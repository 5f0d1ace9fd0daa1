"""The page of a comparison in a real browser."""

from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from andon_monitor.compare.page import _without_model
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, decode

from tests.fixtures.browser import tab
from tests.fixtures.commands import andon
from tests.fixtures.small_model import encode, make_frame


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


def test_a_picture_that_no_model_takes_is_shown_with_the_levels_of_one() -> None:
    """Without them, a camera of 12 bits shows black."""
    inspector: Any = SimpleNamespace(
        model=SimpleNamespace(card=SimpleNamespace(input=SimpleNamespace(levels=(0, 4095)))),
        rules=SimpleNamespace(limits=DEFAULT_LIMITS),
    )
    shown = _without_model(make_frame(cv2.imencode(".png", np.full((8, 8), 4000, np.uint16))[1].tobytes()), inspector)
    assert shown is not None
    assert int(decode(b64decode(shown.partition(",")[2]), 1).mean()) in range(247, 252)
    assert _without_model(make_frame(b"no image"), inspector) is None
    assert _without_model(make_frame(encode(np.zeros((8, 8), np.uint8))), None) is not None
