"""In a real browser: the page crashes in the middle of a fit, which goes on; a new model that is worse is called so."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.model.file import Model
from andon_monitor.model.recalibration import with_rate
from andon_monitor.review.models.line_models import LineFile
from andon_monitor.review.store import Store

from tests.fixtures.browser import tab
from tests.fixtures.fake_trainer import Trainer
from tests.fixtures.review_page import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="refits are started on Linux and macOS alone")

# Waits until the test lets it end.
WAITS = """
folder = pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).parent
print("training: 42%", flush=True)
while not pathlib.Path({go!r}).exists():
    time.sleep(0.05)
(folder / "new.onnx").write_bytes(pathlib.Path({worse!r}).read_bytes())
"""


@contextmanager
def page_process(store: Path, line: LineFile, training: Path, port: int = 0) -> Iterator[str]:
    """`andon-monitor review` as a process, which ends as in a crash."""
    log = store.parent / f"page-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "andon_monitor", "review", "--store", str(store), "--model", str(line.path)]
    for setting in ("changers=[anybody]", f"training={training}", "keep_free=0", "fit_cores=1", f"port={port}"):
        command += ["--set", f"review.{setting}"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(r"review page at (\S+)/", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield found.group(1)
    finally:
        process.kill()
        process.wait()


def test_a_fit_outlives_a_crash_of_the_page_and_a_worse_model_is_called_worse(
    store: Store, line: LineFile, training: Path, trainer: Trainer, model: Model, tmp_path: Path, chromium: Any
) -> None:
    worse, go = tmp_path / "worse.onnx", tmp_path / "go"
    worse.write_bytes(with_rate(model.content, "worse.onnx", 1e-6)[0])  # it misses every defect
    trainer.does(WAITS.format(go=str(go), worse=str(worse)))
    with page_process(store.folder, line, training) as url, tab(chromium) as page:
        page.goto(f"{url}/teach")
        page.click("button:has-text('Refit')")
        page.wait_for_selector("progress", timeout=1000 * PATIENCE)
    with page_process(store.folder, line, training) as url, tab(chromium) as page:
        page.goto(f"{url}/teach")
        page.wait_for_selector("text=42 %")
        assert page.locator("button:has-text('Stop')").count() == 1
        go.touch()
        page.wait_for_selector(".judged", timeout=1000 * PATIENCE)
        said = page.inner_text(".judged")
        assert re.match(
            r"Worse: of \d+ labelled images .* wrong on \d+ where the old one is right; this is no chance", said
        )
        assert page.inner_text("tr:has-text('defects found') td:nth-child(3)") == "0"
        page.click("button:has-text('Throw away')")
        page.wait_for_selector("button:has-text('Refit')")
    assert line.path.read_bytes() == model.content
