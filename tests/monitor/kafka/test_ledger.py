"""Which frames are ours and which offsets are committed, through assignments and revocations."""

from andon_monitor.kafka.ledger import Ledger


def poll(ledger: Ledger[str], partition: str, offset: int) -> bool:
    """A frame fetched and put into the pipeline at once."""
    claim = ledger.claim(partition)
    return claim is not None and ledger.polled(partition, offset, claim)


def test_a_frame_answered_moves_its_partitions_offset() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.assign(["a", "b"])
    assert all(poll(ledger, partition, offset) for partition, offset in [("a", 5), ("b", 9), ("a", 6)])
    ledger.acknowledge(2)
    assert ledger.uncommitted(["a", "b", "c"]) == {"a": 6, "b": 10}
    assert (ledger.pending(["a"]), ledger.done("a")) == (1, 6)
    ledger.acknowledge(1)
    assert ledger.uncommitted(["a"]) == {"a": 7}


def test_an_offset_is_committed_once_and_anew_by_who_gets_the_partition_back() -> None:
    ledger: Ledger[str] = Ledger()
    for _ in range(2):
        ledger.assign(["a"])
        poll(ledger, "a", 5)
        ledger.acknowledge(1)
        assert ledger.uncommitted(["a"]) == {"a": 6}
        ledger.committed({"a": 6, "b": 3})
        assert ledger.uncommitted(["a", "b"]) == {}
        ledger.revoke(["a"])


def test_frames_of_a_partition_that_went_and_came_back_move_no_offset() -> None:
    ledger: Ledger[str] = Ledger(delivers=True)
    ledger.assign(["a"])
    poll(ledger, "a", 5)
    assert ledger.revoke(["a"]) == 1
    assert not poll(ledger, "a", 6)
    ledger.assign(["a"])
    poll(ledger, "a", 5)
    old, new = ledger.next_to_deliver(2)
    assert ledger.held([old, new]) == ([False, True], {"a": 6})
    ledger.acknowledge(1)
    assert ledger.uncommitted(["a"]) == {}
    ledger.acknowledge(1)
    assert ledger.uncommitted(["a"]) == {"a": 6}


def test_a_frame_fetched_before_its_partition_went_and_came_back_is_not_taken() -> None:
    ledger: Ledger[str] = Ledger()
    ledger.assign(["a"])
    claim = ledger.claim("a")
    assert claim is not None
    ledger.revoke(["a"])
    assert ledger.claim("a") is None
    ledger.assign(["a"])
    assert not ledger.polled("a", 5, claim)
    assert ledger.pending(["a"]) == 0
