import json
import logging
from collections.abc import Iterator

import pytest
from andon_monitor.telemetry import logs


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


def test_json_logs_are_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    logging.getLogger("andon").info("model %s", "\n“x”")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("andon").exception("failed")
    logging.getLogger("andon").debug("not this")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("info", "andon", "model \n“x”")
    assert "ValueError: why" in second["traceback"]


def test_libraries_that_log_messages_are_kept_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "human")
    logging.getLogger("kafka.producer").debug("value: %s", "a whole image")
    assert capsys.readouterr().err == ""
