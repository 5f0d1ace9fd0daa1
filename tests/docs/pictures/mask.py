"""Make the picture of masks from what `make demo` left: python -m tests.docs.pictures.mask demo

The page that draws a mask, with an area over the number that is stamped on the sample part, as a tablet shows it.
"""

import json
import sys
import tempfile
from pathlib import Path

import cv2
from andon_monitor.draw.app import DrawPage
from andon_monitor.draw.frame import draw_picture
from andon_monitor.draw.serving import ADDRESS
from andon_monitor.image_files.decoding import DEFAULT_LIMITS
from andon_monitor.telemetry.server import Server

from tests.fixtures.browser import launched

SIZE = {"width": 900, "height": 1010}  # of the window, in CSS pixels
NUMBER = (276, 180, 66, 32)  # left, top, width, height of the stamped number on the sample's frames
WIDTH = 800  # of the picture


def main(demo: Path) -> None:
    """Write docs/pictures/draw.jpg."""
    frame = min((demo / "part/test/good").iterdir())
    picture = draw_picture(frame.read_bytes(), "camera:0", DEFAULT_LIMITS)
    left, top, width, height = NUMBER
    corners = [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        output = Path(folder) / "mask.json"
        output.write_text(json.dumps({"size": picture.size, "ignore": [corners]}))
        page = DrawPage(picture, output)
        server = Server(page.app(), ADDRESS, 0)
        server.start()
        try:
            tab = browser.new_page(viewport=SIZE)
            tab.goto(f"{server.url}{page.prefix}/")
            # The name of a temporary file tells a reader nothing.
            tab.evaluate("document.querySelector('#status').textContent = 'Saves to mask.json.'")
            tab.screenshot(path=Path(folder) / "shot.png")
        finally:
            server.close()
        shot = cv2.imread(str(Path(folder) / "shot.png"))
    assert shot is not None
    small = cv2.resize(shot, (WIDTH, round(shot.shape[0] * WIDTH / shot.shape[1])), interpolation=cv2.INTER_AREA)
    cv2.imwrite("docs/pictures/draw.jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
