"""Frames without a verdict, and those of them that have none in time."""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass

from andon_monitor.inspection.frames import Frame


@dataclass(frozen=True, slots=True)
class Awaited:
    """A frame that waits for its verdict. `captured` is in seconds of the monotonic clock."""

    frame: Frame
    captured: float


class Pending:
    """Frames that were taken and have no verdict yet. Threads may use it at once.

    `deadline`: seconds from capture within which a verdict is in time.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._awaited: dict[int, Awaited] = {}  # by the identity of the frame, which lives as long as it is here
        self._overdue: dict[int, Awaited] = {}
        self._order: list[tuple[float, int]] = []  # a heap of deadlines, also of frames that have their verdict
        self._changed = threading.Condition()
        self._closed = False

    def add(self, frame: Frame, captured: float) -> None:
        """Wait for the verdict of a frame."""
        due = captured + self._deadline
        with self._changed:
            self._awaited[id(frame)] = Awaited(frame, captured)
            heapq.heappush(self._order, (due, id(frame)))
            if self._order[0][0] == due:
                self._changed.notify()

    def pop(self, frame: Frame) -> Awaited | None:
        """The frame has its verdict; None where it was not waited for, or its verdict comes late."""
        with self._changed:
            if self._overdue.pop(id(frame), None) is not None:
                return None
            return self._awaited.pop(id(frame), None)

    @property
    def has_overdue(self) -> bool:
        """Whether a frame has no verdict and its deadline has passed."""
        return bool(self._overdue)

    def take_overdue(self, now: float) -> list[Awaited]:
        """The frames whose deadline has passed, each once."""
        late = []
        with self._changed:
            while self._order and (self._order[0][0] <= now or self._order[0][1] not in self._awaited):
                _, key = heapq.heappop(self._order)
                awaited = self._awaited.get(key)
                # Another frame may have the identity of one that has had its verdict.
                if awaited is not None and awaited.captured + self._deadline <= now:
                    self._overdue[key] = self._awaited.pop(key)
                    late.append(awaited)
        return late

    @property
    def next_deadline(self) -> float | None:
        """The earliest deadline, perhaps of a frame that has had its verdict; None where none is waited for."""
        return self._order[0][0] if self._order else None

    def wait(self, clock: Callable[[], float]) -> bool:
        """Wait until the earliest deadline, or a new one that is earlier. Returns whether it is still open."""
        with self._changed:
            if not self._closed:
                deadline = self.next_deadline
                self._changed.wait(None if deadline is None else max(0.0, deadline - clock()))
            return not self._closed

    def close(self) -> None:
        """End `wait`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
