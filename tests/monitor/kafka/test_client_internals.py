"""The private parts of kafka-python that we use are where we look for them, and mean what we take them for."""

import inspect
import threading
import time
from collections.abc import Collection
from typing import Any

import pytest
from andon_monitor.kafka.client_internals import (
    AsyncConsumerRebalanceListener,
    CooperativeStickyAssignor,
    RangePartitionAssignor,
    RecordReading,
    cluster_id,
    is_joining,
    sleep_on_client_loop,
)
from kafka import KafkaAdminClient, KafkaConsumer

from tests.fixtures.kafka_line import Line

SLEEP_SECONDS = 0.3


class Sleeper(AsyncConsumerRebalanceListener):
    """Sleeps when partitions are assigned, and notes on which thread and for how long."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self.slept: list[float] = []
        self.threads: list[int] = []

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        started = time.monotonic()
        await sleep_on_client_loop(self._consumer, SLEEP_SECONDS)
        self.slept.append(time.monotonic() - started)
        self.threads.append(threading.get_ident())

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """Nothing to note."""


@pytest.mark.parametrize("assignor", [CooperativeStickyAssignor, RangePartitionAssignor])
def test_a_consumer_has_joined_once_it_has_partitions_and_its_listener_sleeps_on_the_clients_loop(
    line: Line, assignor: type
) -> None:
    consumer = KafkaConsumer(
        bootstrap_servers=line.servers, group_id=line.name, partition_assignment_strategy=[assignor]
    )
    listener = Sleeper(consumer)
    try:
        assert is_joining(consumer) is False
        consumer.subscribe([line.frames], listener=listener)
        deadline = time.monotonic() + 300
        while not consumer.assignment() and time.monotonic() < deadline:
            consumer.poll(1000)
        assert len(consumer.assignment()) == line.partitions
        consumer.poll(1000)
        assert is_joining(consumer) is False
    finally:
        consumer.close()
    assert listener.slept
    assert min(listener.slept) >= SLEEP_SECONDS
    assert threading.get_ident() not in listener.threads


def test_the_cluster_has_the_id_that_an_administrator_is_told(line: Line) -> None:
    admin = KafkaAdminClient(bootstrap_servers=line.servers)
    consumer = KafkaConsumer(bootstrap_servers=line.servers)
    try:
        assert cluster_id(consumer) == admin.describe_cluster()["cluster_id"]
    finally:
        consumer.close()
        admin.close()


def test_the_listeners_methods_are_awaited() -> None:
    for name in ("on_partitions_assigned", "on_partitions_revoked", "on_partitions_lost"):
        assert inspect.iscoroutinefunction(getattr(AsyncConsumerRebalanceListener, name))


def test_a_leader_whose_polls_end_before_the_groups_answer_gets_partitions_that_were_added(line: Line) -> None:
    """The client's own polls would leave it without any: see `keep_joining`."""
    consumer = KafkaConsumer(bootstrap_servers=line.servers, group_id=line.name, metadata_max_age_ms=100)
    reading = RecordReading(consumer, 2**20, 2**20)
    consumer.subscribe([line.frames])
    joining = []
    try:
        for partitions in (line.partitions, line.partitions + 1):
            if partitions > line.partitions:
                admin = KafkaAdminClient(bootstrap_servers=line.servers)
                admin.create_partitions({line.frames: partitions})
                admin.close()
            deadline = time.monotonic() + 300
            while len(consumer.assignment()) < partitions:
                assert time.monotonic() < deadline
                reading.poll(1)
                joining.append(is_joining(consumer))
        assert True in joining
    finally:
        consumer.close()
