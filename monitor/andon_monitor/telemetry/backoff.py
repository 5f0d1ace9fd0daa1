"""Back-off after wrong passwords: the more there were, the longer the next guess has to wait."""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable

FREE_FAILURES = 5  # a person mistypes
FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
FORGET_SECONDS = 900.0  # without a failure
MAX_KEYS = 10_000  # addresses and names; the oldest are forgotten


class Backoff:
    """Counts failures by key, such as an address or a name. Threads may use it at once."""

    def __init__(self, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._longest = longest_seconds
        self._failures: OrderedDict[Hashable, tuple[int, float, float]] = OrderedDict()  # number, last one, free at
        self._lock = threading.Lock()

    def wait_seconds(self, keys: Iterable[Hashable]) -> float:
        """How long the next try under any of these keys has to wait; 0: not at all."""
        now = time.monotonic()
        with self._lock:
            return max(0.0, *(self._failures.get(key, (0, 0.0, 0.0))[2] - now for key in keys))

    def fail(self, keys: Iterable[Hashable]) -> None:
        """Note a failure."""
        now = time.monotonic()
        with self._lock:
            for key in keys:
                count, last, _ = self._failures.pop(key, (0, now, 0.0))
                count = 1 if now - last > FORGET_SECONDS else count + 1
                beyond = count - FREE_FAILURES
                wait = 0.0 if beyond <= 0 else min(self._longest, FIRST_SECONDS * 2.0 ** min(beyond - 1, 30))
                self._failures[key] = (count, now, now + wait)
            while len(self._failures) > MAX_KEYS:
                self._failures.popitem(last=False)

    def succeed(self, keys: Iterable[Hashable]) -> None:
        """Forget the failures under these keys."""
        with self._lock:
            for key in keys:
                self._failures.pop(key, None)
