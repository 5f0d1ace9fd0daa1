"""Logs that change under the monitor: retention, partitions added, topics created again, transactions, tombstones."""

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.reader import RecordReader
from andon_monitor.kafka.topics import must_exist
from andon_monitor.settings.groups import KafkaSettings
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.errors import UnknownTopicOrPartitionError
from kafka.structs import OffsetAndMetadata

from tests.fixtures.broker import load_broker
from tests.fixtures.commands import andon
from tests.fixtures.kafka_line import PATIENCE, Line, positions
from tests.fixtures.kafka_records import metric, producer
from tests.fixtures.small_model import draw, encode

BOTH = pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
START = pytest.mark.parametrize("start", ["earliest", "latest"])


def committed(line: Line, partition: int) -> int | None:
    """The offset that the line's group has committed."""
    consumer = KafkaConsumer(bootstrap_servers=line.servers, group_id=line.name)
    try:
        return consumer.committed(TopicPartition(line.frames, partition))
    finally:
        consumer.close()


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def recreate(line: Line) -> None:
    """Delete the topic of frames and create it again."""
    admin = KafkaAdminClient(bootstrap_servers=line.servers)
    admin.delete_topics([line.frames])
    wait_until(lambda: admin.describe_topics([line.frames])[0]["error_code"] == UnknownTopicOrPartitionError.errno)
    admin.close()
    line.create()
    must_exist(parse_address(line.uri(line.frames)), KafkaSettings())


@START
@BOTH
def test_what_retention_removed_is_counted_and_the_rest_is_read(line: Line, start: str, delivery: str) -> None:
    place = TopicPartition(line.frames, 0)
    with producer(line) as send:
        for _ in range(20):
            send(encode(draw(1)), key=b"left")
    consumer = KafkaConsumer(bootstrap_servers=line.servers, group_id=line.name, enable_auto_commit=False)
    consumer.assign([place])
    consumer.commit({place: OffsetAndMetadata(5, "", -1)})
    consumer.close()
    admin = KafkaAdminClient(bootstrap_servers=line.servers)
    admin.delete_records({place: 12})
    admin.close()
    (port,) = load_broker().free_ports(1)
    with line.monitor(f"kafka.start={start}", f"kafka.delivery={delivery}", port=port) as monitor:
        verdicts = line.read_verdicts(8, extra=0.5)
        assert metric(port, "andon_kafka_expired_records_total") == 7
        assert metric(port, 'andon_kafka_position_resets_total{cause="retention"}') == 1
        assert "retention removed 7 records of partition 0" in monitor.log.read_text()
    assert [offset for _, offset in positions(verdicts)] == list(range(12, 20))


@START
def test_a_new_group_begins_as_told_and_reads_added_partitions_from_their_beginning(line: Line, start: str) -> None:
    old = [encode(draw(1))]
    line.send(old * 8, cameras=[f"camera-{i}" for i in range(8)])
    with line.monitor(f"kafka.start={start}") as monitor:
        monitor.wait_for("partitions of")
        wait_until(lambda: all(committed(line, partition) is not None for partition in range(line.partitions)))
        if start == "earliest":
            line.read_verdicts(8)
        monitor.kill()
    # While no monitor runs, a partition is added and gets frames, and so does one that was empty until now.
    admin = KafkaAdminClient(bootstrap_servers=line.servers)
    admin.create_partitions({line.frames: line.partitions + 1})
    admin.close()
    with producer(line) as send:
        for partition in (0, line.partitions):
            for _ in range(3):
                send(old[0], partition=partition, key=b"new")
    with line.monitor(f"kafka.start={start}"):
        verdicts = line.read_verdicts(14 if start == "earliest" else 6, extra=0.5)
    assert sum(verdict["camera"] == "new" for verdict in verdicts) == 6
    assert len(set(positions(verdicts))) == (14 if start == "earliest" else 6)


@BOTH
def test_a_topic_created_again_while_the_monitor_runs_is_read_from_its_start_under_new_ids(
    line: Line, delivery: str
) -> None:
    def send(count: int, camera: bytes) -> None:
        with producer(line) as send:
            for number in range(count):
                send(encode(draw(number)), key=camera)

    send(5, b"monday")
    (port,) = load_broker().free_ports(1)
    with line.monitor(f"kafka.delivery={delivery}", port=port) as monitor:
        line.read_verdicts(5)
        recreate(line)
        send(8, b"tuesday")
        line.read_verdicts(13)
        assert "was deleted and created again" in monitor.log.read_text()
        assert metric(port, 'andon_kafka_position_resets_total{cause="recreated"}') >= 1
        monitor.signal(signal.SIGTERM)  # so that all offsets are committed
        assert monitor.end() == 0
    with line.monitor(f"kafka.delivery={delivery}"):
        send(1, b"wednesday")
        verdicts = line.read_verdicts(14, extra=0.5)
    assert Counter(verdict["camera"] for verdict in verdicts) == {"monday": 5, "tuesday": 8, "wednesday": 1}
    assert len({verdict["id"] for verdict in verdicts}) == 14


@pytest.mark.parametrize(("polls_meanwhile", "count"), [(False, 2), (True, 2), (True, 8)])
def test_a_topic_created_again_is_told_from_one_that_lost_records(
    line: Line, polls_meanwhile: bool, count: int
) -> None:
    """What the consumer knows of the topic is older than what it fetches, which must not pass for the old topic's."""
    consumer = KafkaConsumer(
        bootstrap_servers=line.servers,
        auto_offset_reset="none",
        allow_auto_create_topics=False,
        metadata_max_age_ms=3_600_000,
    )
    place = TopicPartition(line.frames, 0)
    consumer.assign([place])
    consumer.seek(place, 0)
    resets = []
    reader = RecordReader(consumer, line.frames, KafkaSettings(), lambda cause, places: resets.append((cause, places)))

    def poll() -> list[bytes | None]:
        return [record.value for records in reader.poll(0.2).values() for record in records]

    def read(count: int) -> list[bytes | None]:
        values: list[bytes | None] = []
        deadline = time.monotonic() + 300
        while len(values) < count:
            assert time.monotonic() < deadline, values
            values += poll()
        return values

    def send(word: bytes, count: int) -> list[bytes]:
        values = [word + b"%d" % number for number in range(count)]
        with producer(line) as publish:
            for value in values:
                publish(value, partition=0)
        return values

    sent = send(b"old", 5)
    assert read(5) == sent
    with ThreadPoolExecutor() as pool:
        created = pool.submit(recreate, line)
        while polls_meanwhile and not created.done():
            assert poll() == []
    created.result()
    sent = send(b"new", count)
    assert read(count) == sent
    assert resets == [("recreated", {place: 0})]
    consumer.close()


def commits(consumer: KafkaConsumer, offsets: dict[TopicPartition, Any]) -> bool:
    """Whether the group takes offsets from outside: not before the session of a killed member is over."""
    try:
        consumer.commit(offsets)
    except kafka_errors.CommitFailedError:
        return False
    return True


def test_a_topic_created_again_while_no_monitor_runs_gives_new_ids_and_old_offsets_mean_nothing(
    line: Line, tmp_path: Any
) -> None:
    for day in (b"monday", b"tuesday"):
        with producer(line) as send:
            for number in range(4):
                send(encode(draw(number)), key=day)
        with line.monitor() as monitor:
            line.read_verdicts(4 if day == b"monday" else 8)
            wait_until(lambda: committed(line, 0) == 4)
            monitor.kill()
        if day == b"monday":
            consumer = KafkaConsumer(bootstrap_servers=line.servers, group_id=line.name, enable_auto_commit=False)
            place = TopicPartition(line.frames, 0)
            before = consumer.committed(place, metadata=True)
            recreate(line)
            wait_until(partial(commits, consumer, {place: before}))  # as brokers whose offsets outlive their data
            consumer.close()
    verdicts = line.read_verdicts(8, extra=0.5)
    assert Counter(verdict["camera"] for verdict in verdicts) == {"monday": 4, "tuesday": 4}
    assert len({verdict["id"] for verdict in verdicts}) == 8
    # A recording keeps the topic's id: the same model gives its frames the same verdicts.
    output = tmp_path / "frames.mcap"
    done = andon("record", "--source", line.uri(line.frames), "-o", output, "--start", "earliest", "--until-end")
    assert done.returncode == 0, done.stderr
    again = tmp_path / "again.jsonl"
    assert andon("run", "--no-server", "--model", line.model, "--source", output, "--verdicts", again).returncode == 0
    assert all(verdict["id"] in again.read_text() for verdict in verdicts if verdict["camera"] == "tuesday")


def test_markers_of_transactions_and_aborted_frames_count_neither_as_lag_nor_as_stuck(line: Line) -> None:
    sender = KafkaProducer(bootstrap_servers=line.servers, transactional_id=line.name)
    sender.init_transactions()
    for commits in (True, False, True, False):
        sender.begin_transaction()
        sender.send(line.frames, value=encode(draw(1)), key=b"left", partition=0).get(timeout=300)
        sender.commit_transaction() if commits else sender.abort_transaction()
    sender.close()
    with producer(line) as send:
        send(None, partition=1, key=b"left")  # a tombstone
    (port,) = load_broker().free_ports(1)
    with line.monitor("kafka.stuck_timeout=4", port=port) as monitor:
        verdicts = line.read_verdicts(3)
        wait_until(lambda: committed(line, 0) == 8)  # four records, four markers
        wait_until(lambda: metric(port, "andon_consumer_lag_records") == 0)
        with pytest.raises(Exception, match="timed out"):
            monitor.end(8)
    assert sorted(positions(verdicts)) == [(0, 0), (0, 4), (1, 0)]
