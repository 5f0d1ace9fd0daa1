"""Verdicts joined to parts on a real broker: through kills, rebalances and a replay."""

import json
import random
import re
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from tests.fixtures.broker import load_broker
from tests.fixtures.commands import andon
from tests.fixtures.kafka_line import PATIENCE, Line
from tests.fixtures.part_views import make_view
from tests.fixtures.small_model import START

VIEWS = ("parts.views={'*': [top, left, right]}", "parts.timeout=8", "parts.keep=30")


PAUSE = 3600.0  # seconds


def write_views(line: Line, first: int, count: int, seed: int) -> dict[str, str]:
    """Verdicts of parts in the topic of verdicts, each camera in its own order. Returns the verdict of each part.

    The line stands still between two calls: its clock, and that of the parts' time-outs, goes on.
    """
    rng = random.Random(seed)
    producer = KafkaProducer(bootstrap_servers=line.servers)
    expected = {}
    for number in range(first, first + count):
        outcomes = {}
        for place, name in enumerate(("top", "left", "right")):
            outcome = rng.choices(("good", "defect", "uninspectable", None), (20, 1, 1, 1))[0]
            if outcome is None:
                continue
            outcomes[name] = outcome
            view = make_view(f"part {number}", name, START + PAUSE * seed + 0.02 * number + 0.005 * place, outcome)
            value = view.to_dict() | {"part": {"id": view.part, "view": name}}
            value = json.dumps(value | {"model": {"alias": "m", "sha256": "0" * 64}}).encode()
            for _ in range(rng.choice((1, 1, 1, 2))):  # some are delivered twice
                producer.send(line.verdicts, value=value, key=name.encode(), timestamp_ms=view.time)
        if outcomes:
            found = set(outcomes.values())
            worse = "defect" if "defect" in found else "incomplete"
            expected[f"part {number}"] = "good" if found == {"good"} and len(outcomes) == 3 else worse
    producer.send(line.verdicts, value=b"no verdict", key=b"top", timestamp_ms=view.time)
    producer.flush()
    producer.close()
    return expected


def by_id(records: list[Any]) -> dict[str, Any]:
    """What was sent of each part; each exactly once."""
    sent = [(record.value, record.key, record.timestamp, record.headers) for record in records]
    found = {json.loads(value)["id"]: (value, *others) for value, *others in sent}
    assert len(found) == len(records)
    return found


def verdicts(records: list[Any]) -> dict[str, str]:
    values = [json.loads(record.value) for record in records]
    return {value["part"]["id"]: value["verdict"] for value in values}


def test_every_part_has_one_verdict_through_kills_and_a_replay_gives_the_same_bytes(line: Line) -> None:
    parts = line.create_parts(line.parts)
    expected = write_views(line, 0, 60, 1)
    one, two = "kafka.instance_id=one", "kafka.instance_id=two"
    with line.joiner(parts, line.name, *VIEWS, one) as first:
        line.read(line.parts, 20)
        with line.joiner(parts, line.name, *VIEWS, two) as second:
            second.wait_for(f"partitions of {line.parts}.views")
            expected |= write_views(line, 60, 60, 2)
            line.read(line.parts, 70)
            second.kill()  # in the middle, perhaps of a transaction
            expected |= write_views(line, 120, 60, 3)
        with line.joiner(parts, line.name, *VIEWS, two) as second:
            first.kill()
            with line.joiner(parts, line.name, *VIEWS, one) as first:
                records = line.read(line.parts, len(expected), extra=1)
                for joiner in (first, second):
                    joiner.signal(signal.SIGTERM)
                assert [joiner.end() for joiner in (first, second)] == [0, 0], first.log.read_text()
    assert verdicts(records) == expected
    assert set(expected.values()) == {"good", "defect", "incomplete"}
    sent = by_id(records)

    again = line.create_parts(f"{line.name}.again")
    with line.joiner(again, f"{line.name}-again", *VIEWS):
        replayed = line.read(f"{line.name}.again", len(expected), extra=1)
    assert by_id(replayed) == sent


def test_a_part_whose_views_do_not_come_is_incomplete_and_counted(line: Line) -> None:
    (port,) = load_broker().free_ports(1)
    parts = line.create_parts(line.parts)
    expected = write_views(line, 0, 20, 5)
    with line.joiner(parts, line.name, *VIEWS, port=port) as joiner:
        records = line.read(line.parts, len(expected))
        wanted = {name: list(expected.values()).count(name) for name in ("good", "defect", "incomplete")}
        counted: dict[str, float] = {}
        deadline = time.monotonic() + PATIENCE
        while counted != wanted and time.monotonic() < deadline:  # they are counted once they are sent
            metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).read().decode()
            found = re.findall(r'^andon_parts_total{product="other",verdict="(\w+)"} (\S+)$', metrics, re.M)
            counted = {name: float(number) for name, number in found}
        joiner.signal(signal.SIGTERM)
        assert joiner.end() == 0, joiner.log.read_text()
    assert verdicts(records) == expected
    assert counted == wanted
    assert 'andon_part_views_total{result="unreadable"} 1.0' in metrics


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "output.verdicts: -: give --verdicts kafka://"),
        (("--verdicts", "kafka://localhost:1/v"), "output.parts: not given: give --parts kafka://"),
        (("--verdicts", "kafka://localhost:1/v", "--parts", "kafka://localhost:1/p"), "parts.views: not given"),
    ],
)
def test_settings_that_cannot_work_are_one_line(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = andon("parts", "--no-server", *options)
    assert done.returncode == 2
    assert said in done.stderr
