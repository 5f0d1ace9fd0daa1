"""Frozen pictures: does a camera send one image again and again, and pass for a line of good parts?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from andon_monitor.inspection.inspector import Inspection
from andon_monitor.model.imaging import Pixels
from andon_monitor.settings.groups import StatisticsSettings
from andon_monitor.telemetry.metrics import Metrics

SAMPLES_A_SIDE = 32  # pixels compared: 1024 of a frame, which takes a few microseconds
# A sensor's noise moves most pixels by a grey level or more from one frame to the next, even of a part that stands
# still; a repeated image moves none. Some gateways draw the time of day over it, which moves a few.
MOVED_SHARE = 0.01


class Shown(NamedTuple):
    """What a camera showed last, and how often in a row it had shown the same before."""

    verdict: str
    samples: Pixels
    repeats: int


class FrozenPictures:
    """A sink that counts, for each camera, how many frames in a row show the same picture as the frame before.

    Frames that cannot be inspected count neither way: they have reasons and an alert of their own.
    """

    def __init__(self, settings: StatisticsSettings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._shown: dict[str, Shown] = {}
        metrics.repeated_frames_limit.set(settings.repeats_limit)

    def write(self, inspections: Sequence[Inspection]) -> None:
        """Compare each frame with its camera's one before."""
        for inspection in inspections:
            pixels, verdict = inspection.prepared.pixels, inspection.verdict.id
            if pixels is None:
                continue
            camera = self._metrics.label(inspection.verdict.camera)
            samples, last = sample(pixels), self._shown.get(camera)
            if last is not None and last.verdict == verdict:
                continue  # a second delivery of the same frame
            repeats = last.repeats + 1 if last is not None and is_repeated(last.samples, samples) else 0
            self._shown[camera] = Shown(verdict, samples, repeats)
            self._metrics.repeated(camera, repeats)

    def close(self, complete: bool) -> None:
        """Nothing to keep."""


def sample(frame: Pixels) -> Pixels:
    """Every n-th pixel of a frame (uint8 [H, W, C]) in both directions: uint8 [<= 64, <= 64, C]."""
    rows, columns = (max(1, size // SAMPLES_A_SIDE) for size in frame.shape[:2])
    return frame[::rows, ::columns].copy()  # the frame itself is let go of


def is_repeated(before: Pixels, after: Pixels) -> bool:
    """Whether two samples (uint8 [h, w, C]) show the same picture: fewer than `MOVED_SHARE` of the values differ."""
    return before.shape == after.shape and bool(np.count_nonzero(before != after) < MOVED_SHARE * after.size)
