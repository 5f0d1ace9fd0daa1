import json
import logging
from collections.abc import Iterator

import pytest
from andon_monitor.model.file import Model
from andon_monitor.sinks.log import UninspectableLog
from andon_monitor.telemetry import logs

from tests.fixtures.review_line import inspect
from tests.fixtures.small_model import draw, encode, make_frame


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


def test_a_stream_of_bad_frames_is_a_line_now_and_then(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    sink = UninspectableLog(lambda: clock[0], every=10)
    good, empty, nonsense = (
        inspect(model, [make_frame(data, 7, file="f.png")])[0] for data in (encode(draw(1)), b"", b"nonsense")
    )
    with caplog.at_level(logging.WARNING, "andon"):
        for _ in range(100):
            sink.write([good, empty])
        sink.write([nonsense])
        clock[0] = 10.0
        sink.write([empty])
    assert [record.getMessage() for record in caplog.records] == [
        "station-1: f.png: uninspectable, empty: empty: 0 bytes",
        "station-1: f.png: uninspectable, undecodable: not an image in a known format (8 bytes)",
        "station-1: f.png: uninspectable, empty: empty: 0 bytes (and 99 more like it before)",
    ]
