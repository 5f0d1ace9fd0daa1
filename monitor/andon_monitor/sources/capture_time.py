"""When a frame of a stream was captured, by the best clock that there is."""

import math

from andon_monitor.inspection.frames import TimeSource

# The camera's clock counts where its frames seem to take between so long on their way, in seconds: less, and the clock
# is ahead of ours; more, and it is behind, as where nobody ever set it. Sender reports then only tell intervals.
MIN_TRANSIT_SECONDS, MAX_TRANSIT_SECONDS = -1.0, 10.0
# The shortest time on the way is followed: it may grow by so much a second, as two clocks drift apart.
DRIFT = 0.0002
MIN_STEP_BACK_SECONDS = 0.001  # times are kept to the millisecond


class CaptureTimes:
    """Capture times of one connection to a camera.

    The camera's wall clock counts where the stream has it and it agrees with ours; else the stream's own times, held
    against our clock: the frame that was the least on its way says what they mean; else the arrival. So a frame that
    was held up on its way keeps the time of its capture.
    """

    def __init__(self) -> None:
        self._wall = _Transit()
        self._stream = _Transit()
        self._last: tuple[float, TimeSource] = (-math.inf, "arrival")
        self._last_stream = -math.inf
        self.is_clock_wrong = False  # whether the camera's wall clock does not agree with ours
        self.steps_back = 0  # frames whose time went backwards

    def time_of(self, arrival: float, stream: float | None, wall: float | None) -> tuple[float, TimeSource]:
        """Seconds since 1970, and where they come from.

        `arrival` is by our clock, `wall` by the camera's, both in seconds since 1970; `stream` is in seconds since any
        moment. Where a clock goes backwards the frame counts as captured when it arrived, and the clock counts from
        then on as it is now. A change from one clock to another is no step back.
        """
        captured_at, source = best = self._best(arrival, stream, wall)
        before, self._last = self._last, best
        if source == before[1] and captured_at <= before[0] - MIN_STEP_BACK_SECONDS:
            self.steps_back += 1
            self._wall, self._stream = _Transit(), _Transit()
            captured_at, source = arrival, "arrival"
        return min(captured_at, arrival), source

    def _best(self, arrival: float, stream: float | None, wall: float | None) -> tuple[float, TimeSource]:
        shortest = None
        if stream is not None:
            if stream < self._last_stream:  # the stream began anew
                self._stream = _Transit()
            self._last_stream = stream
            shortest = self._stream.shortest(arrival, stream)
        if wall is not None:
            transit = self._wall.shortest(arrival, wall)
            self.is_clock_wrong = not MIN_TRANSIT_SECONDS <= transit <= MAX_TRANSIT_SECONDS
            if not self.is_clock_wrong:
                return wall, "sender_report"
        if stream is not None and shortest is not None:
            return stream + shortest, "stream"
        return arrival, "arrival"


class _Transit:
    """The shortest time between a camera's clock and our arrival times, in seconds."""

    def __init__(self) -> None:
        self._shortest = math.inf
        self._at = 0.0

    def shortest(self, arrival: float, sent: float) -> float:
        grown = self._shortest + DRIFT * max(0.0, arrival - self._at)
        self._shortest, self._at = min(grown, arrival - sent), arrival
        return self._shortest
