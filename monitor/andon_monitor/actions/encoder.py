"""When the line's encoder reaches a position, from the positions and times of the last frames."""

from collections import deque

MAX_SAMPLES = 8  # the speed is that of the last ones: a line speeds up and slows down


class Encoder:
    """The encoder of one camera's line. Times in seconds of the monotonic clock, positions in counts.

    Between frames it is taken to run on at the speed of the last ones. A line that stops between the camera and the
    gate is not seen here: there, send `$reject_at` to whoever counts.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)

    def observe(self, time: float, position: int) -> None:
        """Note where the encoder was when a frame was captured. A jump backwards starts anew."""
        if self._samples and position < self._samples[-1][1]:
            self._samples.clear()
        if not self._samples or time > self._samples[-1][0]:
            self._samples.append((time, position))

    def time_of(self, position: int) -> float | None:
        """When the encoder is at a position; None while the speed is not known, or the line stands."""
        if len(self._samples) < 2:
            return None
        (first_time, first), (last_time, last) = self._samples[0], self._samples[-1]
        if last <= first:
            return None
        return last_time + (position - last) * (last_time - first_time) / (last - first)
