import logging

import pytest
from andon_monitor.model.file import Model
from andon_monitor.sinks.log import UninspectableLog

from tests.fixtures.review_line import inspect
from tests.fixtures.small_model import draw, encode, make_frame


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
        "station-1: f.png: uninspectable, empty: empty: 0 bytes (and 99 more since the last line)",
    ]
