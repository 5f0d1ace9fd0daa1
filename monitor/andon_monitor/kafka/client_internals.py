"""What we use of kafka-python that is not part of its public interface: all of it is here, and nowhere else.

`tests/monitor/kafka/test_client_internals.py` fails when a new version moves one of them; the dependency is pinned to
the minor version for that reason.
"""

from kafka import KafkaConsumer
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor

__all__ = [
    "AsyncConsumerRebalanceListener",
    "CooperativeStickyAssignor",
    "RangePartitionAssignor",
    "cluster_id",
    "is_joining",
    "sleep_on_client_loop",
]

UNKNOWN_CLUSTER = "unknown"


def cluster_id(consumer: KafkaConsumer) -> str:
    """The id of the cluster that a connected consumer reads from; "unknown" where the brokers do not say."""
    return consumer._cluster.cluster_id or UNKNOWN_CLUSTER


def is_joining(consumer: KafkaConsumer) -> bool:
    """Whether the consumer has asked to join its group and has not yet taken note of the answer."""
    return consumer._coordinator._join_task is not None


async def sleep_on_client_loop(consumer: KafkaConsumer, seconds: float) -> None:
    """Sleep inside a rebalance listener. Any other sleep would block the client's loop and its heartbeats."""
    await consumer._net.sleep(seconds)
