"""Drift scores: how far recent frames differ from the calibration frames. Needs no labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from andon_monitor.inspection.inspector import Inspection
from andon_monitor.model.card import Card, Spread

# One frame counts at most this many standard deviations: a burst of defects or a hand before the camera must not look
# like a change of the light (Huber's psi function, Annals of Mathematical Statistics 35, 1964).
MAX_DEVIATIONS = 3.0
# Lower limits of the standard deviation, for calibration frames all alike: one grey level, 1 % of the sharpness.
MIN_BRIGHTNESS_STD = 1 / 255
MIN_SHARPNESS_STD_SHARE = 0.01

# A brightness that varies much between good parts, as of textures, hides a lamp that ages: its drift is measured in
# tenths of the usual brightness where that is less than a standard deviation.
MAX_BRIGHTNESS_STD_SHARE = 0.1
# While a line stands, the same picture comes again and again, which is no evidence that all pictures have changed.
# Scores of different parts differ: the mean of half the squared steps, in standard deviations and cut off at 1, is
# about 0.5 for parts in random order. Below half of that, frames count less.
MOVING_STEPS = 0.25
MOVEMENT_FRAMES = 20  # over which that mean is taken

_NORMAL = NormalDist()


def standardise(inspection: Inspection, card: Card) -> dict[str, float]:
    """The signals of one frame in standard deviations of the calibration frames, within +-`MAX_DEVIATIONS` of them.

    Brightness and sharpness: (value - mean) / standard deviation, of the brightness at most a tenth of the mean. Score:
    its normal score, the standard normal quantile of its p-value among the calibration scores (van der Waerden 1952),
    which holds for any distribution of scores.
    """
    prepared, verdict, reference = inspection.prepared, inspection.verdict, card.reference
    values = {}
    if verdict.p_value is not None:
        # A p-value is never 0, but can be 1 (a score below all others), whose quantile would be minus infinity.
        values["score"] = -_NORMAL.inv_cdf(min(verdict.p_value, 1 - 0.5 / (card.calibration.count + 1)))
    if prepared.brightness is not None:
        values["brightness"] = _distance(prepared.brightness, reference.brightness, MIN_BRIGHTNESS_STD)
    if prepared.sharpness is not None:
        min_std = MIN_SHARPNESS_STD_SHARE * reference.sharpness.mean
        values["sharpness"] = _distance(prepared.sharpness, reference.sharpness, min_std)
    values = {signal: max(-MAX_DEVIATIONS, min(MAX_DEVIATIONS, value)) for signal, value in values.items()}
    if "brightness" in values:
        limit = max(MAX_BRIGHTNESS_STD_SHARE * reference.brightness.mean, MIN_BRIGHTNESS_STD)
        values["brightness"] *= max(1.0, reference.brightness.std / limit)
    return values


@dataclass
class Movement:
    """Whether different parts pass: how much the scores of consecutive frames differ."""

    score: float | None = None  # of the latest frame
    steps: float = 1.0  # moving mean of half the squared differences, each at most 1

    def weigh(self, score: float | None, usual: Spread) -> float:
        """How much one more frame counts, in 0..1; `usual` are the calibration scores."""
        if score is None:
            return 1.0
        if self.score is not None and usual.std > 0:
            difference = min(1.0, ((score - self.score) / usual.std) ** 2 / 2)
            self.steps += (difference - self.steps) / MOVEMENT_FRAMES
        self.score = score
        return min(1.0, self.steps / MOVING_STEPS)


def step(
    means: Mapping[str, float], values: Mapping[str, float], frames: float, weight: float = 1.0
) -> dict[str, float]:
    """Moving means after one more frame: Z = Z + weight (value - Z) / frames, an EWMA over about `frames` frames.

    Roberts, "Control chart tests based on geometric moving averages", Technometrics 1 (1959). The chart's limit is not
    its statistical one (of 3 standard errors, which are 1 / sqrt(2 frames - 1)) but a difference that matters: on a
    line consecutive frames are similar, and with many frames even a tiny difference is significant.
    """
    return {signal: mean + weight * (values.get(signal, mean) - mean) / frames for signal, mean in means.items()}


def _distance(value: float, usual: Spread, min_std: float) -> float:
    return (value - usual.mean) / max(usual.std, min_std, 1e-12)
