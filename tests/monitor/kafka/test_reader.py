"""A gap that retention left is counted once, however often reading leads into it."""

from types import SimpleNamespace
from typing import Any

import pytest
from andon_monitor.kafka import reader
from andon_monitor.kafka.reader import RecordReader
from andon_monitor.settings.groups import KafkaSettings
from kafka import TopicPartition

PLACE = TopicPartition("frames", 0)


def test_a_gap_is_counted_once_and_a_further_one_as_far_as_it_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RecordReading", "cluster_id", "topic_id", "refresh_metadata"):
        monkeypatch.setattr(reader, name, lambda *_: None)
    start, sought = 12, []
    consumer: Any = SimpleNamespace(
        assignment=lambda: {PLACE},
        beginning_offsets=lambda *_, **__: {PLACE: start},
        end_offsets=lambda *_, **__: {PLACE: 40},
        seek=lambda _, offset: sought.append(offset),
    )
    reading = RecordReader(consumer, "frames", KafkaSettings(), lambda cause, places: None)
    for offset in (5, 5):
        reading._out_of_range({PLACE: offset})
    assert (reading.expired, sought) == (7, [12, 12])
    start = 20
    reading._out_of_range({PLACE: 5})
    assert (reading.expired, sought) == (15, [12, 12, 20])
