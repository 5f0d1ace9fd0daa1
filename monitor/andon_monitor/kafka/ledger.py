"""Which frames were taken from which partition, and whether that partition is still ours."""

import threading
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(slots=True)
class Claim:
    """A partition from the moment it was assigned to the moment it is taken away: its frames share one fate."""

    held: bool = True
    pending: int = 0
    first: int | None = None  # the offset of its first frame
    done: int | None = None  # the offset to commit: the next frame to be inspected
    committed: int | None = None  # the last offset that the broker took


@dataclass(frozen=True, slots=True)
class Entry(Generic[P]):
    """One frame, and the claim it came under."""

    partition: P
    offset: int
    claim: Claim


class Ledger(Generic[P]):
    """Frames in the order they were polled. Safe to use from several threads.

    A partition that was taken away and given back is a new claim: frames of the old one are the new owner's to
    inspect, and what becomes of them here must move no offset.
    """

    def __init__(self, delivers: bool = False) -> None:
        self._delivers = delivers  # whether `next_to_deliver` will be called
        self._lock = threading.Lock()
        self._claims: dict[P, Claim] = {}
        self._unanswered: deque[Entry[P]] = deque()
        self._undelivered: deque[Entry[P]] = deque()

    def assign(self, partitions: Iterable[P]) -> None:
        """These are ours now; those we had already stay as they are."""
        with self._lock:
            for partition in partitions:
                self._claims.setdefault(partition, Claim())

    def revoke(self, partitions: Iterable[P]) -> int:
        """These are no longer ours. Gives how many of their frames were still in flight."""
        dropped = 0
        with self._lock:
            for partition in partitions:
                claim = self._claims.pop(partition, None)
                if claim is not None:
                    claim.held = False
                    dropped += claim.pending
        return dropped

    def renew(self, partition: P) -> int:
        """Ours still, but from another offset on: gives how many frames under the old claim were in flight."""
        with self._lock:
            claim = self._claims.get(partition)
            if claim is None:
                return 0
            claim.held = False
            self._claims[partition] = Claim()
            return claim.pending

    def pending(self, partitions: Iterable[P]) -> int:
        """Frames of these partitions that are in flight."""
        with self._lock:
            return sum(self._claims[partition].pending for partition in partitions if partition in self._claims)

    def claim(self, partition: P) -> Claim | None:
        """What a frame fetched now comes under, None where its partition is not ours."""
        with self._lock:
            return self._claims.get(partition)

    def polled(self, partition: P, offset: int, claim: Claim) -> bool:
        """A frame goes into the pipeline. False where its claim is over: then it must not."""
        with self._lock:
            if not claim.held:
                return False
            claim.pending += 1
            claim.first = offset if claim.first is None else claim.first
            entry = Entry(partition, offset, claim)
            self._unanswered.append(entry)
            if self._delivers:
                self._undelivered.append(entry)
            return True

    def next_to_deliver(self, count: int) -> list[Entry[P]]:
        """The next `count` frames, for a sink that commits offsets itself."""
        with self._lock:
            return [self._undelivered.popleft() for _ in range(count)]

    def held(self, entries: Sequence[Entry[P]]) -> tuple[list[bool], dict[P, int]]:
        """Which of these frames are still ours, and the offsets to commit with them."""
        with self._lock:
            ours = [entry.claim.held for entry in entries]
            return ours, {entry.partition: entry.offset + 1 for entry in entries if entry.claim.held}

    def acknowledge(self, count: int) -> None:
        """The next `count` frames are answered."""
        with self._lock:
            for _ in range(count):
                entry = self._unanswered.popleft()
                entry.claim.pending -= 1
                if entry.claim.held:
                    entry.claim.done = entry.offset + 1

    def uncommitted(self, partitions: Iterable[P]) -> dict[P, int]:
        """The offset to commit for each of these that is ours and where it is another than the last one."""
        offsets: dict[P, int] = {}
        with self._lock:
            for partition in partitions:
                claim = self._claims.get(partition)
                if claim is not None and claim.done is not None and claim.done != claim.committed:
                    offsets[partition] = claim.done
        return offsets

    def committed(self, offsets: Mapping[P, int]) -> None:
        """The broker took these."""
        with self._lock:
            for partition, offset in offsets.items():
                if partition in self._claims:
                    self._claims[partition].committed = offset

    def done(self, partition: P) -> int | None:
        """The offset after the last frame answered, None where there was none yet."""
        with self._lock:
            claim = self._claims.get(partition)
            return None if claim is None else claim.done

    def resume(self, partition: P) -> int | None:
        """The offset from which on frames are unanswered, None where there were none."""
        with self._lock:
            claim = self._claims.get(partition)
            return None if claim is None else claim.first if claim.done is None else claim.done

    @property
    def partitions(self) -> list[P]:
        """What is ours."""
        with self._lock:
            return list(self._claims)
