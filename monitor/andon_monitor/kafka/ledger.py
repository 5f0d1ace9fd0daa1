"""The frames in flight of each partition, which of them are answered, and whether the partition is still ours."""

import threading
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(slots=True)
class Claim:
    """One assignment of a partition to us, until it is revoked. `pending`: its frames in flight."""

    held: bool = True
    pending: int = 0
    first: int | None = None  # the offset of its first frame
    done: int | None = None  # the offset to commit: that of the first frame not answered
    committed: int | None = None  # the last offset that the broker confirmed


@dataclass(frozen=True, slots=True)
class Entry(Generic[P]):
    """One frame, and the claim under which it was polled."""

    partition: P
    offset: int
    claim: Claim
    next: int  # the offset to commit once it is answered


class Ledger(Generic[P]):
    """Frames in the order in which they were polled. Safe to use from several threads.

    A partition that was revoked and assigned again is a new claim. Frames of the old claim are inspected by the new
    owner, and their answers here change no offset. `delivers`: whether a sink calls `next_to_deliver`.
    """

    def __init__(self, delivers: bool = False) -> None:
        self._delivers = delivers
        self._lock = threading.Lock()
        self._claims: dict[P, Claim] = {}
        self._unanswered: deque[Entry[P]] = deque()
        self._undelivered: deque[Entry[P]] = deque()

    def assign(self, partitions: Iterable[P]) -> None:
        """These partitions are ours from now on; claims that we have already stay."""
        with self._lock:
            for partition in partitions:
                self._claims.setdefault(partition, Claim())

    def revoke(self, partitions: Iterable[P]) -> int:
        """These partitions are no longer ours. Returns how many of their frames were in flight."""
        dropped = 0
        with self._lock:
            for partition in partitions:
                claim = self._claims.pop(partition, None)
                if claim is not None:
                    claim.held = False
                    dropped += claim.pending
        return dropped

    def renew(self, partition: P) -> int:
        """Replace the claim, as the partition continues from another offset. Returns how many frames were in flight."""
        with self._lock:
            claim = self._claims.get(partition)
            if claim is None:
                return 0
            claim.held = False
            self._claims[partition] = Claim()
            return claim.pending

    def pending(self, partitions: Iterable[P]) -> int:
        """How many frames of these partitions are in flight."""
        with self._lock:
            return sum(self._claims[partition].pending for partition in partitions if partition in self._claims)

    def claim(self, partition: P) -> Claim | None:
        """The claim for a record fetched now, None where its partition is not ours."""
        with self._lock:
            return self._claims.get(partition)

    def polled(self, partition: P, offset: int, claim: Claim, more: bool = False) -> bool:
        """Note that a frame enters the pipeline. False where its claim is over: then it must not enter.

        `more`: the next frame comes from the same record, which is answered with its last frame.
        """
        with self._lock:
            if not claim.held:
                return False
            claim.pending += 1
            claim.first = offset if claim.first is None else claim.first
            entry = Entry(partition, offset, claim, offset if more else offset + 1)
            self._unanswered.append(entry)
            if self._delivers:
                self._undelivered.append(entry)
            return True

    def next_to_deliver(self, count: int) -> list[Entry[P]]:
        """Take the next `count` frames, for a sink that commits their offsets itself."""
        with self._lock:
            return [self._undelivered.popleft() for _ in range(count)]

    def held(self, entries: Sequence[Entry[P]]) -> tuple[list[bool], dict[P, int]]:
        """For each of these frames whether it is still ours, and the offsets to commit with those that are."""
        with self._lock:
            ours = [entry.claim.held for entry in entries]
            return ours, {entry.partition: entry.next for entry in entries if entry.claim.held}

    def acknowledge(self, count: int) -> None:
        """Note that the next `count` frames are answered."""
        with self._lock:
            for _ in range(count):
                entry = self._unanswered.popleft()
                entry.claim.pending -= 1
                if entry.claim.held:
                    entry.claim.done = entry.next

    def uncommitted(self, partitions: Iterable[P]) -> dict[P, int]:
        """The offset to commit of each of these partitions that is ours and has a new one."""
        offsets: dict[P, int] = {}
        with self._lock:
            for partition in partitions:
                claim = self._claims.get(partition)
                if claim is not None and claim.done is not None and claim.done != claim.committed:
                    offsets[partition] = claim.done
        return offsets

    def committed(self, offsets: Mapping[P, int]) -> None:
        """Note that the broker confirmed these offsets."""
        with self._lock:
            for partition, offset in offsets.items():
                if partition in self._claims:
                    self._claims[partition].committed = offset

    def skip_to(self, partition: P, offset: int) -> None:
        """Note that a partition without frames in flight has none before `offset`, as after a transaction."""
        with self._lock:
            claim = self._claims.get(partition)
            if claim is not None and not claim.pending and (claim.done is None or claim.done < offset):
                claim.done = offset

    def done(self, partition: P) -> int | None:
        """The offset after the last answered frame, None without one."""
        with self._lock:
            claim = self._claims.get(partition)
            return None if claim is None else claim.done

    def resume(self, partition: P) -> int | None:
        """The offset of the first frame that is not answered, None where no frame was polled."""
        with self._lock:
            claim = self._claims.get(partition)
            return None if claim is None else claim.first if claim.done is None else claim.done

    @property
    def partitions(self) -> list[P]:
        """The partitions that are ours."""
        with self._lock:
            return list(self._claims)
