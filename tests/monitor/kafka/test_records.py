"""Whatever a batch holds, each of its offsets makes a record, and what follows it is read."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from andon_monitor.inspection.frames import MAX_HEADERS
from andon_monitor.kafka.client_internals import READS_TO_CONFIRM_DAMAGE, RecordReading
from andon_monitor.kafka.records import Record
from kafka import TopicPartition
from kafka.consumer.fetcher import IsolationLevel
from kafka.errors import KafkaError
from kafka.record import MemoryRecords
from kafka.record.util import calc_crc32c

from tests.fixtures.kafka_records import CODECS, NotUtf8, batch, bomb

PLACE = TopicPartition("frames", 0)
LIMIT = 2**22


def read(data: bytes, fetch_offset: int = 0, end: int = 10**6, reads: int = READS_TO_CONFIRM_DAMAGE) -> list[Record]:
    """The records of a broker's answer, fetched until the last of some reads gives any."""
    consumer = SimpleNamespace(_fetcher=SimpleNamespace(), highwater=lambda _: end)
    RecordReading(consumer, LIMIT, 2**40)
    for _ in range(reads):
        part = consumer._fetcher.PartitionRecords(
            fetch_offset, PLACE, MemoryRecords(data), isolation_level=IsolationLevel.READ_COMMITTED
        )
        records: list[Record] = []
        while part:
            taken = part.take(3)
            records += taken
        if records and part.next_fetch_offset > records[-1].offset:
            return records
    return records


def causes(records: list[Record]) -> list[str | None]:
    return [record.problem and record.problem.cause for record in records]


GOOD = {"key": b"left", "value": b"image", "headers": [("a", b"1"), ("a", b"2")], "timestamp": 1234}


@pytest.mark.parametrize("codec", [0, *CODECS.values()])
def test_sound_records_are_read_as_they_are(codec: int) -> None:
    others: list[dict[str, Any]] = [
        {"value": None},
        {"key": b"", "value": b""},
        {"headers": [("é" * 500_000, b"")]},
        {"timestamp": -1},
        {"timestamp": 253_402_300_799_999},
        {"headers": [("x", b"1")] * MAX_HEADERS},
        {"value": bytes(100_000)},
    ]
    records = read(batch([GOOD, *others, GOOD], 40, codec))
    assert [record.offset for record in records] == list(range(40, 49))
    assert causes(records) == [None] * 9
    first, last = records[0], records[-1]
    assert first[3:7] == (1234, b"left", b"image", (("a", b"1"), ("a", b"2")))
    assert last[3:] == first[3:]
    assert (records[1].value, records[2].value, records[2].key) == (None, b"", b"")
    assert len(records[3].headers[0][0]) == 500_000
    assert (records[4].timestamp, records[5].timestamp) == (-1, 253_402_300_799_999)


def test_a_header_that_is_not_utf8_has_its_name_escaped_and_is_a_problem_of_that_record_alone() -> None:
    records = read(batch([GOOD, GOOD | {"headers": [(NotUtf8("x"), b"v"), ("b", b"w")]}, GOOD]))
    assert causes(records) == [None, "content", None]
    bad = records[1]
    assert (bad.key, bad.value) == (b"left", b"image")
    assert bad.headers == (("\\xff\\xfe", b"v"), ("b", b"w"))
    assert bad.problem
    assert bad.problem.detail == "the name of a header is not UTF-8"


def test_a_million_headers_are_not_kept() -> None:
    records = read(batch([GOOD | {"headers": [("", b"")] * 100_000}, GOOD]))
    assert causes(records) == ["content", None]
    assert (records[0].value, records[0].headers) == (b"image", ())


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_is_too_large_or_does_not_decompress_is_skipped(codec: str) -> None:
    for payload, cause in ((bomb(codec, 50 * 2**20), "too_large"), (b"\x01garbage", "compression")):
        crafted = bytearray(batch([{}]))
        crafted[61:] = payload
        crafted[8:12] = (len(crafted) - 12).to_bytes(4, "big")
        crafted[21:23] = CODECS[codec].to_bytes(2, "big")
        records = read(with_checksum(crafted) + batch([GOOD], 1))
        assert causes(records) == [cause, None]
        assert [record.offset for record in records] == [0, 1]
        assert records[0].value == (None if cause == "too_large" else payload)


def with_checksum(data: bytearray) -> bytes:
    data[17:21] = calc_crc32c(memoryview(data)[21:]).to_bytes(4, "big")
    return bytes(data)


def test_a_damaged_batch_is_read_again_and_then_skipped_with_its_bytes_kept() -> None:
    damaged = bytearray(batch([GOOD] * 3, 10))
    damaged[-5] ^= 0x40
    data = batch([GOOD] * 2, 8) + bytes(damaged) + batch([GOOD] * 2, 13)
    assert [record.offset for record in read(data, 8, reads=READS_TO_CONFIRM_DAMAGE - 1)] == [8, 9]
    records = read(data, 10)
    assert [record.offset for record in records] == [10, 11, 12, 13, 14]
    assert causes(records) == ["checksum"] * 3 + [None] * 2
    assert records[0].value == bytes(damaged)
    assert records[1].value is None
    assert records[1].problem
    assert "offsets 10 to 12" in records[1].problem.detail


def test_a_damaged_last_batch_ends_no_later_than_the_log() -> None:
    damaged = bytearray(batch([GOOD], 5))
    damaged[23:27] = (2**30).to_bytes(4, "big")  # the delta of its last offset
    records = read(bytes(damaged), 5, end=8)
    assert [record.offset for record in records] == [5, 6, 7]


def test_random_changes_with_a_sound_checksum_lose_no_offset_and_nothing_that_follows() -> None:
    rng = random.Random(1)
    sound = batch([GOOD, GOOD | {"value": None}, GOOD | {"headers": []}, GOOD], 100)
    for _ in range(3000):
        changed = bytearray(sound)
        for _ in range(rng.randint(1, 6)):
            changed[rng.randrange(61, len(changed))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        records = read(with_checksum(changed) + batch([GOOD], 104), 100)
        offsets = [record.offset for record in records]
        assert offsets == sorted(set(offsets))
        assert offsets[-1] == 104
        assert causes(records)[-1] is None
        assert set(range(100, 104)) >= set(offsets[:-1])


def test_a_poll_returns_little_more_than_its_share_of_bytes() -> None:
    consumer = SimpleNamespace(_fetcher=SimpleNamespace())
    reading = RecordReading(consumer, LIMIT, 250)
    data = batch([GOOD | {"value": bytes(100)}] * 6)
    part = consumer._fetcher.PartitionRecords(0, PLACE, MemoryRecords(data))
    assert len(part.take(10)) == 3
    with pytest.raises(KafkaError):
        part.take(10)
    reading.poll_bytes = 0
    assert len(part.take(10)) == 3
