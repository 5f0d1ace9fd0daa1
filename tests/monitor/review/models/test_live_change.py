"""A threshold is changed and undone on the page while a monitor inspects: verdicts show it, and no frame is lost."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review.models.line_models import LineFile
from andon_monitor.review.store import Store

from tests.fixtures.commands import PATIENCE
from tests.fixtures.review_line import frames
from tests.fixtures.review_page import Client, serving
from tests.monitor.review.models.test_pages import USERS, send


class Camera:
    """Drops a good part into the watched folder now and then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        while not self._ended.wait(0.2):
            (frame,) = frames(1, every=99, start=self.sent % 40)
            part = self.folder / f"{self.sent:06d}.part"
            part.write_bytes(frame.data)
            part.rename(part.with_suffix(".png"))
            self.sent += 1

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    folder = tmp_path / "watched"
    folder.mkdir()
    camera = Camera(folder)
    yield camera
    camera.end()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def counted(folder: Path, *models: Model) -> int:
    """How many frames the models inspected."""
    span = Store(folder).verdicts.span([model.sha256 for model in models])
    return 0 if span is None else span.frames


def test_a_change_reaches_the_verdicts_and_its_undo_does_too(model: Model, tmp_path: Path, camera: Camera) -> None:
    path, store = tmp_path / "part.onnx", tmp_path / "store"
    path.write_bytes(model.content)
    command = [sys.executable, "-m", "andon_monitor", "run", "--model", str(path), "--source", f"watch:{camera.folder}"]
    command += ["--verdicts", str(tmp_path / "verdicts.jsonl"), "--evidence", str(store), "--no-server"]
    command += ["--set", "model.watch=0.2", "--set", "model.provider=cpu"]
    monitor = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (store / "review.sqlite").exists() and Store(store).verdicts.uses() != [])

        def uses(sha256: str) -> bool:
            return [use.sha256 for use in Store(store).verdicts.uses()] == [sha256]

        with serving(Store(store), models=[LineFile("part", path)], **USERS) as url:
            ann = Client(url, x_user="ann")
            assert send(ann, "/model?value=20&unit=percent", "/models/threshold", why="try")[0] == 200
            changed = Model.load(path, "cpu")
            until(lambda: uses(changed.sha256))
            assert "is still from" not in ann.get("/models")[1]
            assert send(ann, "/models", "/models/undo")[0] == 200
            until(lambda: uses(model.sha256))
        camera.end()
        until(lambda: counted(store, model, changed) == camera.sent)
    finally:
        monitor.terminate()
        monitor.wait(PATIENCE)
    verdicts: list[dict[str, Any]] = [
        json.loads(line) for file in tmp_path.glob("verdicts.jsonl*") for line in file.read_text().splitlines()
    ]
    assert len({verdict["id"] for verdict in verdicts}) == len(verdicts) == camera.sent
    order = [verdict["threshold"] for verdict in sorted(verdicts, key=lambda verdict: verdict["frame"]["offset"])]
    assert [t for t, before in zip(order, [None, *order], strict=False) if t != before] == [
        model.card.threshold, changed.card.threshold, model.card.threshold,
    ]  # fmt: skip
