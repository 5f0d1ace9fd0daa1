"""Which frames people are shown: every defect up to a rate, and samples of borderline and good frames."""

import time
from collections.abc import Callable

from andon_monitor.formats.evidence_package import KINDS, Kind
from andon_monitor.inspection.frames import Verdict
from andon_monitor.settings.groups import EvidenceSettings

MAX_CAMERAS = 1000  # with samples; names come from messages, which may invent any number


class Bucket:
    """A token bucket: `burst` at once, `rate` per second in the long run."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._filled = float(burst), clock()

    def take(self) -> bool:
        """Take a token; whether there was one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + self._rate * (now - self._filled))
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Sampler:
    """Decides which kind of evidence a verdict is, and whether it is within the rate.

    Each kind has a rate of its own, so that samples never take the place of defects.
    """

    def __init__(self, settings: EvidenceSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._buckets = {kind: Bucket(settings.rate, settings.burst, clock) for kind in KINDS}
        self._last: dict[tuple[str, Kind], float] = {}  # capture time of the last sample

    def kind(self, verdict: Verdict, alarm_rate: float) -> Kind | None:
        """The kind of evidence, None for a frame that is not shown.

        `alarm_rate`: the share of good parts expected above the threshold. The `borderline` share of good parts with
        the next lower scores is borderline, whatever the scale of a model's scores. Intervals are between capture
        times, so that a recording gives the same samples however fast it is read.
        """
        if verdict.score is None or verdict.p_value is None:
            return None
        if verdict.outcome == "defect":
            return "defect"
        kind: Kind = "borderline" if verdict.p_value <= alarm_rate + self._settings.borderline else "good"
        interval = self._settings.good_interval if kind == "good" else self._settings.borderline_interval
        last = self._last.get((verdict.camera, kind))
        # A clock that was set back must not stop the samples.
        if last is not None and abs(verdict.captured_at - last) < interval:
            return None
        if last is None and len(self._last) >= 2 * MAX_CAMERAS:
            return None
        self._last[verdict.camera, kind] = verdict.captured_at
        return kind

    def within_rate(self, kind: Kind) -> bool:
        """Whether one more frame of this kind may be sent now."""
        return self._buckets[kind].take()
