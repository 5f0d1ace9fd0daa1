"""Jobs of a set-up outlive the page, are started again after a crash, and leave nothing half-written."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review.background import Background
from andon_monitor.review.fits import REFIT
from andon_monitor.review.teach import plan as refit_files
from andon_monitor.setup.draft import FITTED, MODEL, DraftFolder
from andon_monitor.setup.jobs import JOB, Job

from tests.fixtures.fake_trainer import Trainer
from tests.fixtures.review_page import PATIENCE, Client
from tests.fixtures.setup_page import end_jobs, setting_up, settings_of, station
from tests.fixtures.small_model import draw, encode
from tests.monitor.review.models.test_pages import send
from tests.monitor.setup.test_pages import answer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="jobs are started on Linux and macOS alone")

HALF = 'pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).with_name(".new.onnx.1").touch()'
# Waits until the test lets it end.
WAITS = """
path = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
print("training: 42%", flush=True)
while not pathlib.Path({go!r}).exists():
    time.sleep(0.05)
path.write_bytes(pathlib.Path({model!r}).read_bytes())
"""


@contextmanager
def page_process(folder: Path) -> Iterator[str]:
    """`andon-monitor review` as a process, which ends as in a crash."""
    log = folder / f"page-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "andon_monitor", "review", "--store", str(folder / "store")]
    for setting in ("changers=[anybody]", f"lines={folder / 'lines'}", "keep_free=0", "fit_cores=1", "port=0"):
        command += ["--set", f"review.{setting}"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        until(lambda: "review page at " in log.read_text() or process.poll() is not None)
        found = re.search(r"review page at (\S+)/", log.read_text())
        assert found is not None, log.read_text()
        yield found.group(1)
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool]) -> None:
    deadline, waited = time.monotonic() + PATIENCE, threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        waited.wait(0.1)


def test_a_fit_outlives_a_crash_of_the_page_and_one_that_died_is_started_again(
    prepared: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = DraftFolder(prepared / "store" / "setup" / "bottle")
    for number in range(3, 22):
        (draft.path / "images" / f"{number:06d}.png").write_bytes(encode(draw(number)))
    go, fitted = tmp_path / "go", tmp_path / "fitted.onnx"
    fitted.write_bytes(model.content)
    trainer = Trainer(tmp_path, monkeypatch)
    trainer.does(HALF + WAITS.format(go=str(go), model=str(fitted)))
    path, half_written = "/setup/bottle/fit", draft.path / "fit" / ".new.onnx.1"
    try:
        with page_process(prepared) as url:
            assert send(Client(url), path, path, budget="2m")[0] == 200
            until(lambda: "42 %" in Client(url).get(path)[1])
        with page_process(prepared) as url:
            assert "42 %" in Client(url).get(path)[1]
            # Now the processes of the fit die, too.
            job = Job.model_validate_json((draft.path / "fit" / JOB).read_text())
            os.killpg(job.process, signal.SIGKILL)
            until(lambda: "the fit was stopped, or its process ended" in Client(url).get(path)[1])
            assert half_written.exists()
            assert (draft.path / FITTED).read_bytes() == model.content  # that of the fit before
            go.touch()
            trainer.does(WAITS.format(go=str(go), model=str(fitted)))
            assert send(Client(url), path, path, budget="2m")[0] == 200
            until(lambda: "There is a model." in Client(url).get(path)[1])
            assert not half_written.exists()
            assert not draft.is_rated()  # the rate was that of the fit before
            assert "Choose a rate" in Client(url).get("/setup/bottle/deploy")[1]
            assert (draft.path / MODEL).exists()
    finally:
        end_jobs(prepared)


def test_a_collection_goes_on_while_the_page_is_started_again(prepared: Path) -> None:
    settings, path = settings_of(prepared), "/setup/bottle/images"
    draft = DraftFolder(prepared / "store" / "setup" / "bottle")
    try:
        with station() as (address, _):
            draft.write_settings("source.yaml", {"source": {"uri": address, "camera": "press-1"}})
            with setting_up(settings) as url:
                assert send(Client(url), path, "/setup/bottle/collect", count="20")[0] == 200
            with setting_up(settings) as url:
                until(lambda: "Collect more" in Client(url).get(path)[1])
                assert "At the end of the collection: 20 images, " in Client(url).get(path)[1]
                # A look that somebody stops has not failed.
                assert send(Client(url), "/setup/bottle/source", "/setup/bottle/look")[0] == 200
                status, page = send(Client(url), "/setup/bottle/source", "/setup/bottle/stop")
                assert (status, "; stopped." in page, 'role="alert"' in page) == (200, True, False)
    finally:
        end_jobs(prepared)
    assert len(draft.images()) == 20


def test_a_fit_waits_for_a_refit(prepared: Path) -> None:
    draft = DraftFolder(prepared / "store" / "setup" / "bottle")
    for number in range(3, 22):
        (draft.path / "images" / f"{number:06d}.png").write_bytes(encode(draw(number)))
    refit, path = prepared / "store" / REFIT, "/setup/bottle/fit"
    with setting_up(settings_of(prepared)) as url, Background(refit, "refit", 1).locked():
        (refit / refit_files.PLAN).touch()
        page = Client(url).get(path)[1]
        assert ("A refit is running" in page, "/teach" in page, "<button>Fit" in page) == (True, True, False)
        status, page = answer(Client(url), "/setup", path, {"budget": "2m"})
        assert status == 400
        assert "A refit is running, and one fit runs at a time: wait, or stop it on Teach" in page
    assert not (draft.path / "fit" / JOB).exists()
