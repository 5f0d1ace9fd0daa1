"""Frozen pictures: a camera that sends one image again and again would look like a line of good parts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from andon_monitor.common.process import Ending
from andon_monitor.inspection.inspector import Inspection
from andon_monitor.model.imaging import Pixels
from andon_monitor.settings.groups import StatisticsSettings
from andon_monitor.telemetry.metrics import Metrics

SAMPLES_PER_SIDE = 32  # pixels compared, about 1000 of a frame, which takes a few microseconds
# Sensor noise changes most pixels by a grey level or more from frame to frame, even of a part that stands still; a
# repeated image changes none. Some gateways draw the time of day over the image, which changes a few.
MAX_CHANGED_SHARE = 0.01


class Shown(NamedTuple):
    """The last picture of a camera, and the number of times in a row that it repeated the one before."""

    verdict: str
    samples: Pixels
    repeats: int


class FrozenPictures:
    """A sink that counts, for each camera, how many frames in a row show the same picture as the frame before.

    Uninspectable frames do not count: they have an alert of their own.
    """

    def __init__(self, settings: StatisticsSettings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._shown: dict[str, Shown] = {}
        metrics.repeated_frames_limit.set(settings.repeats_limit)

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Compare each frame with the previous one of its camera."""
        for inspection in inspections:
            pixels, verdict = inspection.prepared.pixels, inspection.verdict.id
            if pixels is None:
                continue
            camera = self._metrics.label(inspection.verdict.camera)
            samples, last = sample(pixels), self._shown.get(camera)
            if last is not None and last.verdict == verdict:
                continue  # the same frame, delivered a second time
            repeats = last.repeats + 1 if last is not None and is_repeated(last.samples, samples) else 0
            self._shown[camera] = Shown(verdict, samples, repeats)
            self._metrics.repeated(camera, repeats)

    def close(self, ending: Ending) -> None:
        """Nothing to do."""


def sample(frame: Pixels) -> Pixels:
    """Every n-th pixel of a frame (uint8 [H, W, C]) in both directions: uint8 [<= 64, <= 64, C]."""
    rows, columns = (max(1, size // SAMPLES_PER_SIDE) for size in frame.shape[:2])
    return frame[::rows, ::columns].copy()  # a view would keep the whole frame in memory


def is_repeated(before: Pixels, after: Pixels) -> bool:
    """Whether two samples (uint8 [h, w, C]) show one picture: less than `MAX_CHANGED_SHARE` of their values differ."""
    return before.shape == after.shape and bool(np.count_nonzero(before != after) < MAX_CHANGED_SHARE * after.size)
