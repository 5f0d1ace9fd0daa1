"""Frames in, verdicts and dead letters out, through restarts, rebalances and outages, against a real broker."""

import json
import re
import signal
import time
import urllib.error
import urllib.request

import pytest
from kafka import KafkaAdminClient, TopicPartition

from tests.fixtures.broker import load_broker
from tests.fixtures.kafka_line import Line, out_of_order, positions
from tests.fixtures.small_model import START, draw, encode, parts

BOTH = pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])


@BOTH
def test_every_frame_gets_one_verdict_in_its_cameras_order(line: Line, delivery: str) -> None:
    line.send([data for data, _ in parts(60)])
    with line.monitor(f"kafka.delivery={delivery}") as monitor:
        verdicts = line.read_verdicts(60, extra=0.5)
        monitor.signal(signal.SIGTERM)
        assert monitor.end() == 0, monitor.log.read_text()
    assert len(verdicts) == len(set(positions(verdicts))) == 60
    assert out_of_order(verdicts) == 0
    assert sum(verdict["verdict"] == "defect" for verdict in verdicts) == 6
    assert {verdict["camera"] for verdict in verdicts} == {"left", "right"}


def test_a_verdict_is_a_cloud_event_about_the_records_own_time(line: Line) -> None:
    line.send([encode(draw(1))], cameras=("left",), timestamp_ms=round(START * 1000))
    with line.monitor():
        (record,) = line.read(line.verdicts, 1)
    headers = {name: value.decode() for name, value in record.headers}
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == "andon.verdict"
    assert headers["ce_time"] == "2026-01-05T06:00:00.000Z"
    assert headers["content-type"] == "application/json"
    assert headers["ce_id"] == json.loads(record.value)["id"]
    assert (record.key, record.timestamp) == (b"left", round(START * 1000))


@BOTH
def test_a_poison_frame_is_kept_whole_with_the_reason_and_does_not_stop_the_line(line: Line, delivery: str) -> None:
    line.send([b"no image", encode(draw(1))], cameras=("left",), headers=[("shift", b"\xff night")])
    with line.monitor(f"kafka.delivery={delivery}"):
        verdicts = line.read_verdicts(2)
        (letter,) = line.read(line.letters, 1, extra=0.5)
    assert [verdict["verdict"] for verdict in verdicts] == ["uninspectable", "good"]
    headers = dict(letter.headers)
    assert (letter.key, letter.value, headers["shift"]) == (b"left", b"no image", b"\xff night")
    assert headers["andon_reason"] == b"undecodable"
    assert headers["andon_topic"] == line.frames.encode()
    assert (letter.value, headers["andon_offset"]) == (b"no image", b"0")
    assert headers["andon_verdict"].decode() == verdicts[0]["id"]


def test_a_frame_too_old_gets_a_verdict_and_no_dead_letter(line: Line) -> None:
    # An hour and not months ago: what is older than the topic's retention may be gone before it is read.
    line.send([encode(draw(1))], timestamp_ms=round((time.time() - 3600) * 1000))
    with line.monitor("inspection.max_staleness=1"):
        (verdict,) = line.read_verdicts(1)
        assert line.read(line.letters, 1, seconds=1) == []
    assert (verdict["verdict"], verdict["reason"]) == ("uninspectable", "stale")


@BOTH
def test_killed_monitors_lose_nothing_and_a_second_delivery_has_the_same_id(line: Line, delivery: str) -> None:
    count = 0
    for _ in range(3):
        line.send([data for data, _ in parts(50)])
        with line.monitor(f"kafka.delivery={delivery}", "kafka.instance_id=one"):
            count += 20
            line.read_verdicts(count)
            # and is killed with frames in flight
    with line.monitor(f"kafka.delivery={delivery}", "kafka.instance_id=one") as monitor:
        verdicts = line.read_answers(150)
        monitor.signal(signal.SIGTERM)
        assert monitor.end() == 0
    assert out_of_order(verdicts) == 0
    ids = {(position, verdict["id"]) for position, verdict in zip(positions(verdicts), verdicts, strict=True)}
    assert len(ids) == 150
    if delivery == "exactly-once":
        assert len(verdicts) == 150


def test_readiness_needs_partitions_and_lag_is_there_for_each(line: Line) -> None:
    (port,) = load_broker().free_ports(1)

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    line.send([data for data, _ in parts(20)])
    with line.monitor(port=port) as monitor:
        line.read_verdicts(20)
        assert get("/readyz")[0] == 200
        deadline = time.monotonic() + 300
        lags: dict[str, str] = {}
        while time.monotonic() < deadline and (len(lags) < line.partitions or set(lags.values()) != {"0.0"}):
            time.sleep(0.3)
            lags = dict(re.findall(r'^andon_consumer_lag_records{partition="(\d)".*} (\S+)$', get("/metrics")[1], re.M))
        assert lags == {str(partition): "0.0" for partition in range(line.partitions)}
        assert monitor.process.poll() is None


def test_sigterm_commits_what_is_answered_and_leaves_the_group(line: Line) -> None:
    line.send([data for data, _ in parts(40)])
    with line.monitor("kafka.session_timeout=30") as monitor:  # a machine that stalls for a while is not to be the test
        line.read_verdicts(40)
        monitor.signal(signal.SIGTERM)
        assert monitor.end() == 0
    admin = KafkaAdminClient(bootstrap_servers=line.servers)
    try:
        offsets = admin.list_group_offsets({line.name: None})[line.name]
        members = admin.describe_groups([line.name])[line.name]["members"]
    finally:
        admin.close()
    assert sum(offset.offset for offset in offsets.values() if offset.offset > 0) == 40, monitor.log.read_text()
    assert all(isinstance(partition, TopicPartition) for partition in offsets)
    assert members == []


@BOTH
def test_monitors_of_one_group_share_the_cameras_and_one_killed_is_replaced(line: Line, delivery: str) -> None:
    cameras = [f"camera-{number}" for number in range(16)]
    with line.monitor(f"kafka.delivery={delivery}") as first:
        first.wait_for("partitions of")
        with line.monitor(f"kafka.delivery={delivery}") as second:
            second.wait_for("partitions of")
            first.wait_for("gave up partitions")
            line.send([data for data, _ in parts(64)], cameras)
            line.read_verdicts(64)
        line.send([data for data, _ in parts(64)], cameras)
        verdicts = line.read_answers(128)
    assert len(set(positions(verdicts))) == 128
    assert delivery == "at-least-once" or len(verdicts) == 128
    assert out_of_order(verdicts) == 0
