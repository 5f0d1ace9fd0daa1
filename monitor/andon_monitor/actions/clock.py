"""The clocks that actions go by: those of the system, or of a simulated line."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic` for durations and moments, `wall` in seconds since 1970 for capture times; both in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
