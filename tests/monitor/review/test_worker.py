"""What works beside the pages goes on, whatever fails."""

import logging
import threading
from pathlib import Path

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.model.file import Model
from andon_monitor.review import figures, serving, worker
from andon_monitor.review.store import Store
from andon_monitor.review.worker import Worker

from tests.fixtures.small_model import build_model


def test_a_failure_is_said_once_and_the_work_is_done_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.01)
    tries, done = [], threading.Event()

    def work(closed: threading.Event) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise UsageError("no such topic")
        done.set()
        closed.wait(10)

    with caplog.at_level(logging.ERROR):
        running = Worker("reading defects", work)
        running.start()
        assert done.wait(10)
        running.close()
    assert len(tries) == 4
    assert [record.message for record in caplog.records] == ["reading defects: no such topic; trying again"]


def test_the_page_follows_a_model_that_is_replaced(
    model: Model, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MODEL_SECONDS", 0.05)
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.05)
    store = Store(tmp_path / "store")
    found, seen = threading.Event(), []
    add = store.add_model

    def add_model(sha256: str, alias: str, card: object) -> None:
        add(sha256, alias, card)  # type: ignore[arg-type]
        seen.append(sha256)
        found.set()

    monkeypatch.setattr(store, "add_model", add_model)
    running = Worker("the model's file", lambda closed: serving._follow_model(model_path, "part", store, closed))
    running.start()
    threading.Event().wait(0.3)
    assert seen == []
    model_path.write_bytes(b"half a file")
    threading.Event().wait(0.3)
    model_path.write_bytes(build_model(lambda card: card | {"name": "new"}))
    assert found.wait(20)
    running.close()
    ((sha256, alias, card),) = figures.models(store)
    assert (sha256, alias, card.name) == (seen[0], "part", "new")
    assert sha256 != model.sha256
