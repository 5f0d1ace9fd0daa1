"""Which frames are shown to people: every defect up to a rate, and a few of those just under the threshold or good."""

import time
from collections.abc import Callable

from monitor.evidence.package import Kind
from monitor.frames import Verdict
from monitor.settings import EvidenceSettings

MAX_CAMERAS = 1000  # whose samples are timed; names come from messages


class Bucket:
    """A token bucket: `burst` at once, `rate` a second in the long run."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._filled = float(burst), clock()

    def take(self) -> bool:
        """Whether there is one left, which is then gone."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + self._rate * (now - self._filled))
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Sampler:
    """Names the kind of evidence that a verdict is, and says whether it is within the rate.

    Defects have a rate of their own: what is sampled never takes their place.
    """

    def __init__(self, settings: EvidenceSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._defects = Bucket(settings.rate, settings.burst, clock)
        self._samples = Bucket(settings.rate, settings.burst, clock)
        self._last: dict[tuple[str, Kind], float] = {}  # capture times

    def kind(self, verdict: Verdict) -> Kind | None:
        """Defects, frames just under the threshold, and a good one of each camera now and then; None: not shown.

        Time is the frames' own, so that a recording is sampled alike however fast it is read.
        """
        if verdict.score is None:
            return None
        if verdict.outcome == "defect":
            return "defect"
        kind: Kind = "borderline" if verdict.score >= self._settings.borderline * verdict.threshold else "good"
        interval = self._settings.good_interval if kind == "good" else self._settings.borderline_interval
        last = self._last.get((verdict.camera, kind))
        # A clock that was set back must not end the samples.
        if last is not None and abs(verdict.captured_at - last) < interval:
            return None
        if last is None and len(self._last) >= 2 * MAX_CAMERAS:
            return None
        self._last[verdict.camera, kind] = verdict.captured_at
        return kind

    def within_rate(self, kind: Kind) -> bool:
        """Whether one more of this kind may be sent now."""
        return (self._defects if kind == "defect" else self._samples).take()
