"""From the time of a camera's own clock to ours."""

import math

# The two clocks drift apart by up to 0.1 ms a second; the offset is that of the last one or two such periods.
PERIOD_SECONDS = 30.0


class CameraClock:
    """Maps times of the camera to the monotonic clock, by the images that arrived fastest.

    An image arrives some time after its capture, at least as long as the transfer takes. The smallest difference of the
    two clocks that was seen lately is their offset, so that what an image waits for in queues does not count as part of
    its capture.
    """

    def __init__(self) -> None:
        self._began = -math.inf
        self._current = self._former = math.inf
        self._latest = -math.inf

    def captured(self, camera_time: float | None, arrived: float) -> float:
        """When an image was captured, in seconds of the monotonic clock: not before the last, nor after it `arrived`.

        `camera_time`: in seconds of the camera's clock; None where it has none: then the arrival.
        """
        if camera_time is None:
            return arrived
        if arrived - self._began > PERIOD_SECONDS:
            self._began, self._former, self._current = arrived, self._current, math.inf
        self._current = min(self._current, arrived - camera_time)
        self._latest = min(arrived, max(self._latest, camera_time + min(self._current, self._former)))
        return self._latest
