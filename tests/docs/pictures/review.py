"""Make the pictures of the review page from what `make demo` left: python -m tests.docs.pictures.review demo

The sample's stream is shared out among three cameras, as if it had just been taken; people label by the truth.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
from andon_monitor.common.times import rfc3339
from andon_monitor.review import labels
from andon_monitor.review.app import Review
from andon_monitor.review.models.line_models import LineFile, LineModels, try_notice
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery
from andon_monitor.settings.groups import ReviewSettings, Settings
from andon_monitor.setup.draft import SOURCE, Drafts
from andon_monitor.setup.jobs import SetupJob
from andon_monitor.setup.serving import setup_of
from andon_monitor.telemetry.server import Server
from playwright.sync_api import Page, sync_playwright

CAMERAS = ("press-1", "press-2", "press-3")
SIZE = {"width": 1180, "height": 820}  # of a tablet, in CSS pixels
WIDTH = 900  # of the pictures
PICTURES = Path("docs/pictures").absolute()
# Pictures further down are fetched when they come into view.
SHOWN = "[...document.images].every(image => image.complete || image.getBoundingClientRect().top > innerHeight)"


def share_out(stream: Path, folder: Path) -> dict[int, str]:
    """A line of three cameras from the stream; the truth of each frame by offset."""
    lines = [json.loads(line) for line in (stream / "manifest.jsonl").read_text().splitlines()]
    (folder / "frames").symlink_to((stream / "frames").absolute())
    begin = time.time() - len(lines) / len(CAMERAS)
    with (folder / "manifest.jsonl").open("w") as manifest:
        for i, line in enumerate(lines):
            more = {"camera": CAMERAS[i % len(CAMERAS)], "captured_at": rfc3339(begin + i / len(CAMERAS))}
            manifest.write(json.dumps(line | more) + "\n")
    return {offset: line["label"] for offset, line in enumerate(lines)}


def label_all(store: Store, truth: dict[int, str]) -> None:
    """All defects, and all just under the threshold, but the newest three of both."""
    defects, borderline = (store.frames.find(FrameQuery(kind=kind)) for kind in ("defect", "borderline"))
    for frame in defects[3:] + borderline[3:]:
        kind = truth[frame.offset]
        label = "false alarm" if kind == "good" else "confirmed"
        labels.add_label(store, frame.id, label, kind.replace("good", ""), "ann")


def shoot(page: Page, name: str) -> None:
    """One picture, small enough for a page."""
    page.wait_for_function(SHOWN)
    page.wait_for_timeout(800)
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        page.screenshot(path=file.name)
        shot = cv2.imread(file.name)
    size = (WIDTH, round(shot.shape[0] * WIDTH / shot.shape[1]))
    small = cv2.resize(shot, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(PICTURES / f"review-{name}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 85])


def begin_setup(demo: Path, store: Store) -> None:
    """A set-up that has collected the sample's good parts."""
    draft = Drafts(store.folder / "setup").create("bracket", "ann")
    draft.change(shown="part/train/good")
    draft.write_settings(SOURCE, {"source": {"uri": str((demo / "part" / "train" / "good").absolute())}})
    job = SetupJob(draft.path, "collect", 1)
    job.start("ann", ("1000", "0"))
    while job.state().is_running:
        time.sleep(0.5)


def main(demo: Path) -> None:
    """Write docs/pictures/review-*.jpg."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = share_out(demo / "part" / "stream", folder)
        command = [str(Path(sys.executable).parent / "andon-monitor"), "run", "--model", str(demo / "part.onnx")]
        command += ["--source", name, "--verdicts", f"{name}/verdicts.jsonl", "--evidence", f"{name}/store"]
        subprocess.run([*command, "--no-server"], check=True)
        # With the model file on the page, and changes that are allowed.
        settings = ReviewSettings(changers=("anybody",), store=folder / "store", lines=folder / "lines")
        store = Store(folder / "store")
        label_all(store, truth)
        # The run took a while: what is silent by the clock was not when it was taken.
        part = Path("part.onnx")  # as the page shows it, without the folder of this run
        content = (demo / "part.onnx").read_bytes()
        os.chdir(folder)
        part.write_bytes(content)
        models = LineModels(store, [LineFile("part", part)], settings)
        try_notice(models, strict=True)
        first = models.read(models.files[0])
        change = models.change_rate(
            "part", first.sha256, first.card.calibration.false_alarm_rate / 2, "ann", "oil drops"
        )
        models.undo(change.number, "bob")
        begin_setup(demo, store)
        pages = Review(store, settings, silence=3600, models=models, more=setup_of(Settings(review=settings))[0])
        server = Server(pages.app(), "127.0.0.1", 0)
        server.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_context(viewport=SIZE, bypass_csp=True).new_page()
            tried = f"model?unit=percent&value={50 * first.card.calibration.false_alarm_rate:g}"
            for name, what in (("now", ""), ("defects", "defects"), ("model", tried), ("models", "models")):
                page.goto(f"{server.url}/{what}")
                shoot(page, name)
            page.goto(f"{server.url}/defects")
            page.locator(".tile").nth(4).click()
            shoot(page, "frame")
            page.goto(f"{server.url}/setup/bracket/images")
            shoot(page, "setup")
            browser.close()
        pages.close()
        server.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
