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
def test_a_consumer_is_known_to_be_joining_and_its_listener_sleeps_on_the_clients_loop(
    line: Line, assignor: type
) -> None:
    consumer = KafkaConsumer(
        bootstrap_servers=line.servers, group_id=line.name, partition_assignment_strategy=[assignor]
    )
    listener = Sleeper(consumer)
    joining = []
    try:
        assert is_joining(consumer) is False
        consumer.subscribe([line.frames], listener=listener)
        deadline = time.monotonic() + 30
        while not consumer.assignment() and time.monotonic() < deadline:
            consumer.poll(20)
            joining.append(is_joining(consumer))
        assert len(consumer.assignment()) == line.partitions
        consumer.poll(1000)
        assert True in joining
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
