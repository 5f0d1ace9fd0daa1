"""A consumer that gets nothing although records wait ends itself; a quiet topic is no reason to."""

import time
from typing import Any

import pytest
from andon_monitor.errors import SourceError
from andon_monitor.kafka.source import KafkaSource

from tests.fixtures.kafka_line import Line
from tests.fixtures.kafka_members import poll_until
from tests.fixtures.small_model import parts


def poll_for(seconds: float, source: KafkaSource) -> int:
    """How many frames come."""
    count, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        count += len(source.poll(8, 0.2) or ())
    return count


def test_a_source_that_gets_nothing_although_frames_wait_ends_itself(line: Line, members: Any) -> None:
    line.send([data for data, _ in parts(8)])
    source = members(stuck_timeout=4)
    poll_until([source], [4])
    source._consumer.poll = lambda *arguments, **options: {}  # a client that has lost its way
    with pytest.raises(SourceError, match=r"8 records wait and none has come for \d+ s; stopping, restart the monitor"):
        poll_for(30, source)


def test_a_quiet_line_is_not_a_stuck_one(line: Line, members: Any) -> None:
    source = members(stuck_timeout=1)
    poll_until([source], [4])
    assert poll_for(6, source) == 0
