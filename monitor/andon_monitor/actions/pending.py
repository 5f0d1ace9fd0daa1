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

    def wait_overdue(self, clock: Callable[[], float]) -> list[Awaited] | None:
        """Wait until deadlines pass: the frames that are late, each once. None once it is closed."""
        with self._changed:
            while not self._closed:
                now = clock()
                late = []
                while self._order and (self._order[0][0] <= now or self._order[0][1] not in self._awaited):
                    _, key = heapq.heappop(self._order)
                    awaited = self._awaited.get(key)
                    # Another frame may have the identity of one that has had its verdict.
                    if awaited is not None and awaited.captured + self._deadline <= now:
                        self._overdue[key] = self._awaited.pop(key)
                        late.append(awaited)
                if late:
                    return late
                self._changed.wait(self._order[0][0] - now if self._order else None)
        return None

    def close(self) -> None:
        """End `wait_overdue`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
