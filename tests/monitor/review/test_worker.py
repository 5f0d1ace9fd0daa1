"""Background work of the page survives failures."""

import logging
import sqlite3
import threading

import cv2
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.review import worker
from andon_monitor.review.worker import Worker


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


def test_no_error_ends_the_thread(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.01)
    errors = [cv2.error("no picture"), ZeroDivisionError(), MemoryError(), sqlite3.OperationalError("locked")]
    done = threading.Event()

    def work(closed: threading.Event) -> None:
        if errors:
            raise errors.pop(0)
        done.set()
        closed.wait(10)

    with caplog.at_level(logging.ERROR):
        running = Worker("reading defects", work)
        running.start()
        assert done.wait(10)
        running.close()
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "reading defects: error: no picture",
        "reading defects: ZeroDivisionError: ZeroDivisionError",
        "reading defects: MemoryError: MemoryError",
        "reading defects: OperationalError: locked",
    ]
