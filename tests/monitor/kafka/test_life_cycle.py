"""How a monitor starts, keeps its place under load, notices that it is stuck, and ends."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from andon_monitor.errors import SourceError
from andon_monitor.kafka.endpoints import Kafka
from andon_monitor.kafka.source import KafkaSource
from andon_monitor.kafka.watchdog import EXIT_STATUS
from andon_monitor.settings.loading import load_settings
from andon_monitor.telemetry.metrics import Metrics
from kafka import KafkaAdminClient
from kafka.coordinator.base import MemberState

from tests.fixtures.kafka_line import Line
from tests.fixtures.small_model import draw, encode, parts

QUICK = {"kafka.session_timeout": 3, "kafka.request_timeout": 4, "kafka.rebalance_timeout": 0.5}


@pytest.fixture
def members(line: Line) -> Iterator[Any]:
    """Makes sources of one group."""
    with ExitStack() as stack:

        def join(**changes: Any) -> KafkaSource:
            given = {"kafka.group_id": line.name, "source.uri": line.uri(line.frames), **QUICK}
            settings = load_settings(given | {f"kafka.{key}": value for key, value in changes.items()}, None)
            kafka = Kafka(settings, Metrics())
            stack.callback(kafka.close)
            source = kafka.open_source(line.uri(line.frames))
            stack.callback(source.close)
            return source

        yield join


def until(sources: list[KafkaSource], shares: list[int]) -> None:
    """Poll each on a thread of its own, without capacity as under full load, until each has so many partitions."""
    over = threading.Event()

    def poll(source: KafkaSource) -> None:
        while not over.wait(0.05):
            source.poll(0, 0)

    with ThreadPoolExecutor(len(sources)) as pool:
        polling = [pool.submit(poll, source) for source in sources]
        deadline = time.monotonic() + 30
        while [len(source.ledger.partitions) for source in sources] != shares and time.monotonic() < deadline:
            time.sleep(0.05)
        over.set()
    for future in polling:
        future.result()
    assert [len(source.ledger.partitions) for source in sources] == shares


def rebalancing(source: KafkaSource) -> bool:
    """Whether the member has asked to join and not been answered."""
    return bool(source._consumer.group_metadata().state == MemberState.REBALANCING)


def poll_for(seconds: float, source: KafkaSource) -> int:
    """How many frames come."""
    count, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        count += len(source.poll(8, 0.2) or ())
        time.sleep(0.05)
    return count


def test_a_member_with_its_hands_full_joins_the_group_and_gives_up_its_share(line: Line, members: Any) -> None:
    line.send([data for data, _ in parts(8)])
    first = members()
    until([first], [4])
    second = members()
    until([first, second], [2, 2])


def test_a_source_that_gets_nothing_although_frames_wait_ends_itself(line: Line, members: Any) -> None:
    line.send([data for data, _ in parts(8)])
    source = members(stuck_timeout=4)
    until([source], [4])
    source._consumer.poll = lambda *arguments, **options: {}  # a client that has lost its way
    with pytest.raises(SourceError, match=r"8 records wait and none has come for \d+ s; stopping, restart the monitor"):
        poll_for(30, source)


def test_a_rebalance_is_waited_for_to_commit_what_is_answered(line: Line, members: Any) -> None:
    line.send([data for data, _ in parts(8)], cameras=[f"camera-{number}" for number in range(8)])
    first, idle, newcomer = members(rebalance_timeout=5), members(poll_timeout=5), members()
    until([first, idle], [2, 2])
    frames = first.poll(8, 5)
    assert frames
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        joining = pool.submit(lambda: [newcomer.poll(0, 0) for _ in iter(over.is_set, True)])
        try:
            deadline = time.monotonic() + 10
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


def test_a_quiet_line_is_not_a_stuck_one(line: Line, members: Any) -> None:
    source = members(stuck_timeout=1)
    until([source], [4])
    assert poll_for(6, source) == 0


def test_sigterm_ends_the_monitor_in_time_though_the_broker_hangs(
    fragile: Any, model_path: Path, tmp_path: Path
) -> None:
    line = Line(fragile.servers, "drain", model_path, tmp_path)
    line.send([data for data, _ in parts(40)])
    with line.monitor("kafka.drain_timeout=4") as monitor:
        line.read_verdicts(1)
        fragile.signal_node(1, signal.SIGSTOP)
        try:
            line_is_full = time.monotonic()
            monitor.signal(signal.SIGTERM)
            assert monitor.end(30) in (0, EXIT_STATUS)
            assert time.monotonic() - line_is_full < 25
        finally:
            fragile.signal_node(1, signal.SIGCONT)
    with line.monitor():
        assert len(line.read_answers(40)) >= 40


def test_memory_is_bounded_by_settings_when_frames_have_piled_up(line: Line) -> None:
    """300 MB of frames wait; what the monitor's memory grows by is a fraction of it."""
    noise = np.random.default_rng(1)
    big = [encode(noise.integers(0, 256, (1000, 1000), np.uint8)) for _ in range(5)]
    line.send([encode(draw(1))])
    limits = ("kafka.fetch_bytes=8388608", "inspection.in_flight_bytes=8388608", "inspection.max_staleness=3600")
    with line.monitor(*limits) as monitor:
        line.read_verdicts(1)
        before = peak_memory(monitor.process.pid)
        line.send([big[i % len(big)] for i in range(300)])
        line.read_verdicts(301)
        grown = peak_memory(monitor.process.pid) - before
    assert grown < 150e6, f"{grown / 1e6:.0f} MB"


def peak_memory(process: int) -> int:
    """The most memory that a process has had so far, bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
