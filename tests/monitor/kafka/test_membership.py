"""A member joins the group under load, gives up its share, and commits what is answered through a rebalance."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from andon_monitor.kafka.source import KafkaSource
from kafka import KafkaAdminClient
from kafka.coordinator.base import MemberState

from tests.fixtures.kafka_line import Line
from tests.fixtures.kafka_members import poll_until
from tests.fixtures.small_model import parts


def rebalancing(source: KafkaSource) -> bool:
    """Whether the member has asked to join and not been answered."""
    return bool(source._consumer.group_metadata().state == MemberState.REBALANCING)


def test_a_member_with_its_hands_full_joins_the_group_and_gives_up_its_share(line: Line, members: Any) -> None:
    line.send([data for data, _ in parts(8)])
    first = members()
    poll_until([first], [4])
    second = members()
    poll_until([first, second], [2, 2])


def test_a_rebalance_is_waited_for_to_commit_what_is_answered(line: Line, members: Any) -> None:
    line.send([data for data, _ in parts(8)], cameras=[f"camera-{number}" for number in range(8)])
    first, idle, newcomer = members(rebalance_timeout=5), members(poll_timeout=5), members()
    poll_until([first, idle], [2, 2])
    frames = first.poll(8, 5)
    assert frames
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        joining = pool.submit(lambda: [newcomer.poll(0, 0) for _ in iter(over.is_set, True)])
        try:
            deadline = time.monotonic() + 300
            while not rebalancing(first) and time.monotonic() < deadline:
                first.poll(0, 0)
            assert rebalancing(first)  # for as long as the idle one, which is not polled, is waited for
            first._committer._sent_at = time.monotonic()  # so the answer comes too late for the commit of a poll
            first.acknowledge(frames)
            first.close()
        finally:
            over.set()
        joining.result()
    admin = KafkaAdminClient(bootstrap_servers=line.servers)
    try:
        offsets = admin.list_group_offsets({line.name: None})[line.name]
    finally:
        admin.close()
    assert sum(max(offset.offset, 0) for offset in offsets.values()) == len(frames)
