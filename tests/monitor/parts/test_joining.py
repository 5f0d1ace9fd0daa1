"""Records of the topic of views to verdicts of parts: pure, whatever is read twice, and whatever somebody sends."""

import json
import random
from typing import Any

import pytest
from andon_monitor.kafka.messages import Message
from andon_monitor.kafka.records import Problem, Record
from andon_monitor.parts.joiner import Joiner
from andon_monitor.parts.joining import take
from andon_monitor.parts.messages import Origin, Read, ReadTo, parse_record, read_message, view_message
from andon_monitor.parts.state import PROGRESS_KEY, PartitionState
from andon_monitor.parts.views import View

from tests.fixtures.part_views import RULES, make_view

SOURCES = 2


def record(message: Message, offset: int) -> Record:
    return Record("views", 0, offset, message.timestamp_ms, message.key, message.value, message.headers)


def of_view(view: View, source: int, source_offset: int, offset: int) -> Record:
    value = json.dumps(view.to_dict() | {"part": {"id": view.part, "view": view.name}}).encode()
    return record(
        view_message(view.part, Origin("t", SOURCES, source, source_offset, view.time), value, (), "views"), offset
    )


def topic(seed: int) -> list[Record]:
    """Views of two sources, some missing, some twice, and now and then how far they were read."""
    rng = random.Random(seed)
    records: list[Record] = []
    read = [-1, -1]
    for number in range(80):
        for source, name in enumerate(("top", "left")):
            if rng.random() < 0.1:
                continue
            read[source] += 1
            outcome = rng.choice(("good", "good", "defect", "uninspectable"))
            view = make_view(f"part {number}", name, 2.0 * number + source, outcome)
            for _ in range(rng.choice((1, 1, 2))):
                records.append(of_view(view, source, read[source], len(records)))
        if rng.random() < 0.3:
            places = {source: Read(read[source], 2000 * number + 1000 * source, 0) for source in range(SOURCES)}
            records.append(record(read_message(ReadTo("t", SOURCES, places), "views", 0), len(records)))
    silent = ReadTo("t", SOURCES, {source: Read(read[source], None, 0) for source in range(SOURCES)})
    return [*records, record(read_message(silent, "views", 0), len(records))]


def join(records: list[Record], crash: random.Random | None = None) -> list[str]:
    """Verdicts as JSON. `crash`: in transactions of some records; many fail and are done again from the log."""
    log: list[Any] = []
    done: list[str] = []
    state = PartitionState(Joiner(RULES))
    place = 0
    while place < len(records):
        size = 1 if crash is None else crash.randrange(1, 20)
        found = [v.to_json() for r in records[place : place + size] for v in take(state, r, "views-id")[0]]
        changes = list(state.changes())
        if crash is not None and crash.random() < 0.4:  # before its commit
            state = PartitionState(Joiner(RULES))
            state.restore(log)
            place = max(0, state.progress.next_offset - crash.randrange(30))  # the group may be behind the state
            continue
        log += changes
        done += found
        place += size
    return done


@pytest.mark.parametrize("seed", range(10))
def test_crashes_at_any_point_and_reading_again_change_no_byte(seed: int) -> None:
    records = topic(seed)
    expected = join(records)
    assert len({json.loads(line)["part"]["id"] for line in expected}) == len({r.key for r in records if r.key})
    assert len({json.loads(line)["id"] for line in expected}) == len(expected)
    assert join(records) == expected
    assert join(records, random.Random(seed)) == expected


def test_the_state_is_as_small_as_what_it_remembers() -> None:
    log: dict[bytes, bytes | None] = {}
    state = PartitionState(Joiner(RULES))
    for one in topic(1):
        take(state, one, "views-id")
        log |= dict(state.changes())
    assert [key for key, value in log.items() if value is not None] == [PROGRESS_KEY]
    assert state.joiner.parts == {}
    assert state.joiner.open_parts == 0


def test_a_topic_that_was_created_again_is_read_from_its_start() -> None:
    state = PartitionState(Joiner(RULES))
    for one in topic(1):
        take(state, one, "views-id")
    verdicts = [v for one in topic(2) for v in take(state, one, "another id")[0]]
    assert verdicts


VIEW = of_view(make_view(), 0, 0, 0)
READ_TO = VIEW._replace(headers=(("andon_progress", b"1"),))
HOSTILE = [
    VIEW._replace(value=b"no JSON"),
    VIEW._replace(value=None),
    VIEW._replace(headers=()),
    VIEW._replace(headers=(("andon_source", b"[]"),)),
    VIEW._replace(headers=(("andon_source", b"\xff"),)),
    VIEW._replace(headers=(("andon_source", b'["t", 2, 5, 0, 0]'),)),
    VIEW._replace(headers=(("andon_source", b'["t", 2, 0, -1, 0]'),)),
    VIEW._replace(headers=(("andon_source", b'["t", 1e9, 0, 0, 0]'),)),
    VIEW._replace(headers=(("andon_source", b'["t", 2, 0, 0, 1e400]'),)),
    VIEW._replace(headers=(("andon_source", b"[" * 100_000),)),
    READ_TO._replace(value=b"{}"),
    VIEW._replace(
        headers=(("andon_progress", b"1"),), value=b'{"epoch": "t", "partitions": 2, "read": {"9": [0, 0, 0]}}'
    ),
    READ_TO._replace(value=b'{"epoch": "t", "partitions": 2, "read": [1]}'),
    VIEW._replace(problem=Problem("checksum", "damaged")),
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_no_record_of_views_is_counted_and_stepped_over(hostile: Record) -> None:
    state = PartitionState(Joiner(RULES))
    assert take(state, hostile, "views-id") == ([], "unreadable")
    assert (state.progress.next_offset, state.joiner.parts, state.joiner.sources) == (1, {}, {})


def test_messages_are_read_as_they_were_sent() -> None:
    read = ReadTo("t", 3, {0: Read(-1, None, 0), 2: Read(5, 7, 9)})
    assert parse_record(record(read_message(read, "views", 1), 0)) == read
    assert parse_record(VIEW) == Origin("t", SOURCES, 0, 0, 0)
