"""The page that draws a mask: by mouse, by touch and by keys, and what it saves."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.draw.app import DrawPage
from andon_monitor.draw.frame import draw_picture, first_picture
from andon_monitor.draw.serving import ADDRESS
from andon_monitor.errors import SourceError, UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS
from andon_monitor.model.mask import read_mask
from andon_monitor.sources.uri import open_source
from andon_monitor.telemetry.server import Server

from tests.fixtures.browser import tab
from tests.fixtures.review_page import Client

SIZE = (320, 240)
AREA = [[20, 20], [120, 20], [120, 100]]
SAVED = "#status:has-text('Saved to')"


def picture_file(width: int = SIZE[0], height: int = SIZE[1], depth: Any = np.uint8) -> bytes:
    levels = np.random.default_rng(0).integers(0, np.iinfo(depth).max // 3, (height, width)).astype(depth)
    return cv2.imencode(".png", levels)[1].tobytes()


@contextmanager
def serving(output: Path, data: bytes | None = None) -> Iterator[str]:
    page = DrawPage(draw_picture(data or picture_file(), "a station", DEFAULT_LIMITS), output)
    server = Server(page.app(), ADDRESS, 0)
    server.start()
    try:
        yield server.url + page.prefix
    finally:
        server.close()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "mask.json"


@pytest.fixture
def url(output: Path) -> Iterator[str]:
    with serving(output) as found:
        yield found


def test_the_first_frame_that_can_be_decoded_is_drawn_on(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"no picture")
    (tmp_path / "1.png").write_bytes(picture_file(64, 48))
    (tmp_path / "2.png").write_bytes(picture_file(4000, 300, np.uint16))
    for skip, size in ((0, (64, 48)), (2, (4000, 300))):
        found = first_picture(open_source(str(tmp_path)), skip, DEFAULT_LIMITS, threading.Event())
        assert found is not None
        assert found.size == size
    assert cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_UNCHANGED).shape == (192, 2560)
    with pytest.raises(SourceError, match="no frame to draw on"):
        first_picture(open_source(str(tmp_path)), 3, DEFAULT_LIMITS, threading.Event())


def test_only_who_knows_the_address_sees_the_frame_and_only_a_mask_is_saved(url: str, output: Path) -> None:
    root = url.rpartition("/")[0]
    assert Client(root).get("/")[0] == 404
    assert Client(root).get("/frame")[0] == 404
    status, _, headers = Client(url, host="evil.example").ask("/")
    assert status == 400
    status, page, headers = Client(url).ask("/")
    assert status == 200
    assert b"320 \xc3\x97 240 pixels" in page
    assert "default-src 'none'" in headers["content-security-policy"]
    assert Client(url).ask("/frame")[2]["content-type"] == "image/jpeg"

    def save(mask: object) -> tuple[int, str]:
        status, body, _ = Client(url).ask("/mask", json.dumps(mask).encode())
        return status, body.decode()

    assert save({"size": SIZE, "ignore": []}) == (400, "not saved: has no area; give regions, ignore, or both")
    assert save({"size": [640, 480], "ignore": [AREA]})[0] == 400
    assert save({"size": SIZE, "ignore": [[*AREA, [60, 0]]]})[1].startswith("not saved: ignore 1: crosses")
    assert save({"size": SIZE, "ignore": [AREA] * 100_000})[0] == 413
    assert not output.exists()
    assert save({"size": SIZE, "regions": [AREA]}) == (200, f"Saved to {output}: 1 region.")
    assert read_mask(output).regions == (((20, 20), (120, 20), (120, 100)),)


def test_a_mask_that_is_there_is_shown_at_the_frame_s_size_and_no_other_file_is_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "mask.json"
    output.write_text(json.dumps({"size": [640, 480], "ignore": [AREA]}))
    with serving(output) as url:
        assert "[[10, 10], [60, 10], [60, 50]]" in Client(url).get("/")[1].replace("&#34;", '"')
    for content, message in ((b"{}", "not a mask"), (b'{"size": [9, 9], "ignore": [[[0,0],[9,0],[9,9]]]}', "aspect")):
        output.write_bytes(content)
        with pytest.raises(UsageError, match=message), serving(output):
            pass
    cv2.imwrite(str(tmp_path / "mask.png"), np.tri(240, 320, dtype=np.uint8) * 255)
    with pytest.raises(UsageError, match="a picture, which this page cannot change"), serving(tmp_path / "mask.png"):
        pass


def at(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the frame is on the screen."""
    script = """([x, y]) => {
      const at = new DOMPoint(x, y).matrixTransform(document.querySelector("#stage").getScreenCTM());
      return [at.x, at.y];
    }"""
    across, down = page.evaluate(script, [x, y])
    return across, down


def test_areas_are_drawn_moved_undone_and_saved_by_mouse(url: str, output: Path, chromium: Any) -> None:
    with tab(chromium, viewport={"width": 700, "height": 900}) as page:
        page.goto(f"{url}/")
        page.mouse.move(*at(page, 40, 40))
        page.mouse.down()
        page.mouse.move(*at(page, 100, 80), steps=3)
        page.mouse.up()
        page.check("input[value=regions]")
        for x, y in ((20, 20), (300, 20), (300, 200), (150, 230), (21, 200), (20, 20)):
            page.mouse.click(*at(page, x, y))
        assert page.locator("#list li").all_inner_texts()[1].startswith("Inspected region 2, 5 corners")
        page.mouse.move(*at(page, 100, 80))
        page.mouse.down()
        page.mouse.move(*at(page, 130, 90), steps=3)
        page.mouse.up()
        page.click("#save")
        page.wait_for_selector(SAVED)
        mask = read_mask(output)
        assert np.abs(np.array(mask.ignore[0]) - [[40, 40], [100, 40], [130, 90], [40, 80]]).max() <= 1
        assert np.abs(np.array(mask.regions[0]) - [[20, 20], [300, 20], [300, 200], [150, 230], [21, 200]]).max() <= 1
        page.click("#undo")
        page.click("#list button >> nth=1")
        page.click("#save")
        page.wait_for_selector(SAVED)
        mask = read_mask(output)
        assert mask.regions == ()
        assert np.abs(np.array(mask.ignore[0]) - [[40, 40], [100, 40], [100, 80], [40, 80]]).max() <= 1


def test_the_keyboard_alone_is_enough(url: str, output: Path, chromium: Any) -> None:
    with tab(chromium) as page:
        page.goto(f"{url}/")
        for _ in range(10):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "stage":
                break
        for keys in (["Space"], ["Shift+ArrowRight"] * 5 + ["Space"], ["Shift+ArrowDown"] * 4 + ["Space"], ["Enter"]):
            for key in keys:
                page.keyboard.press(key)
        assert page.locator("#list li").count() == 1
        # Take the last corner, move it, put it down.
        for key in ("Space", "Control+ArrowLeft", "Control+ArrowLeft", "Shift+ArrowDown", "Space"):
            page.keyboard.press(key)
        page.keyboard.press("Control+s")
        page.wait_for_selector(SAVED)
        assert read_mask(output).ignore == (((160, 120), (210, 120), (208, 170)),)
        page.keyboard.press("Shift+ArrowUp")
        page.keyboard.press("Shift+ArrowUp")
        page.keyboard.press("Delete")
        assert page.locator("#list li").count() == 0
        page.keyboard.press("Control+z")
        assert page.locator("#list li").count() == 1
        page.keyboard.press("Control+y")
        assert page.locator("#list li").count() == 0
        page.keyboard.press("Control+s")
        page.wait_for_selector("#status.is-wrong:has-text('There is no area')")


def test_it_can_be_used_on_a_phone_and_axe_finds_nothing_serious(output: Path, chromium: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    output.write_text(json.dumps({"size": SIZE, "ignore": [AREA], "regions": [[[10, 10], [300, 10], [300, 200]]]}))
    # axe reads the page from within, which our policy forbids to scripts that are not ours.
    options = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "bypass_csp": True}
    with serving(output) as url, tab(chromium, **options) as page:
        page.goto(f"{url}/")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for control in page.locator("button").all():
            assert control.bounding_box()["height"] >= 40
        for x, y in ((200, 120), (280, 120), (280, 190)):
            page.touchscreen.tap(*at(page, x, y))
        page.tap("#close")
        assert page.locator("#list li").count() == 3
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page).response
            assert len(found["passes"]) > 10
            bad = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
            assert [(scheme, v["id"], v["nodes"][0]["html"], v["nodes"][0]["failureSummary"]) for v in bad] == []


def test_the_command_says_where_the_page_is_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "frame.png").write_bytes(picture_file())
    command = [
        sys.executable,
        "-m",
        "andon_monitor",
        "draw",
        "--source",
        tmp_path / "frame.png",
        "-o",
        tmp_path / "m.json",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said = next(line for line in process.stderr if "draw at" in line)
        assert b"320" in Client(re.search(r"http\S+(?=/ )", said).group()).ask("/")[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not (tmp_path / "m.json").exists()
