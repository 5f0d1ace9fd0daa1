"""Which frames are shown to people: every defect up to a rate, and a few of those just under the threshold or good."""

import time
from collections.abc import Callable

from andon_monitor.formats.evidence_package import KINDS, Kind
from andon_monitor.inspection.frames import Verdict
from andon_monitor.settings.groups import EvidenceSettings

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

    Each kind has a rate of its own: what is sampled never takes the place of defects, nor the good that of borderline.
    """

    def __init__(self, settings: EvidenceSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._buckets = {kind: Bucket(settings.rate, settings.burst, clock) for kind in KINDS}
        self._last: dict[tuple[str, Kind], float] = {}  # capture times

    def kind(self, verdict: Verdict, alarm_rate: float) -> Kind | None:
        """Defects, frames just under the threshold, and a good one of each camera now and then; None: not shown.

        `alarm_rate` is the share of good parts expected above the threshold: the next `borderline` of them are those
        just under it, whatever the scale of a model's scores.
        Time is the frames' own, so that a recording is sampled alike however fast it is read.
        """
        if verdict.score is None or verdict.p_value is None:
            return None
        if verdict.outcome == "defect":
            return "defect"
        kind: Kind = "borderline" if verdict.p_value <= alarm_rate + self._settings.borderline else "good"
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
        return self._buckets[kind].take()
