"""From anomaly scores of good parts to a threshold for a false-alarm rate, and from a score to a p-value."""

import math
from bisect import bisect_left
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

# Above this shape a generalised Pareto distribution has infinite variance. So large a shape comes from the small number
# of scores, not from the parts.
MAX_TAIL_SHAPE = 0.5
# With fewer good scores than this, their spread is too uncertain to allow for its uncertainty: with nine scores, such a
# threshold for 1 % found none of a part's defects, and a plain extrapolation found four fifths of them.
MIN_CALIBRATION_IMAGES = 20
# Calibration scores on the model card; of more scores, an even grid of this many quantiles.
MAX_SCORES_KEPT = 4096


class Tail(BaseModel):
    """A generalised Pareto distribution of the scores above `start`, which a share `mass` of good parts exceeds."""

    model_config = ConfigDict(frozen=True)

    start: float
    mass: float = Field(gt=0, lt=1)
    scale: float = Field(gt=0)
    shape: float

    def survival(self, score: float) -> float:
        """P(a good part scores above `score`), for `score >= start`."""
        excess = (score - self.start) / self.scale
        if self.shape == 0:
            return self.mass * math.exp(-excess)
        return float(self.mass * (1 + self.shape * excess) ** (-1 / self.shape))

    def quantile(self, probability: float) -> float:
        """The score that a good part exceeds with `probability < mass`."""
        ratio = probability / self.mass
        if self.shape == 0:
            return self.start - self.scale * math.log(ratio)
        return float(self.start + self.scale / self.shape * (ratio**-self.shape - 1))


class Calibration(BaseModel):
    """A threshold, the false-alarm rate that it was set for, and the good scores that it came from.

    `method` is "conformal" where there are enough scores for the rate, else "tail": an extrapolation. A part is a
    defect if its score is above `threshold`. `count` scores were used; `scores` are sorted.
    """

    model_config = ConfigDict(frozen=True)

    threshold: float
    false_alarm_rate: float = Field(gt=0, lt=1)
    method: Literal["conformal", "tail"]
    count: int = Field(gt=0)
    scores: tuple[float, ...]
    tail: Tail | None = None

    def p_value(self, score: float) -> float:
        """The share of good parts expected to score at least `score`, in (0, 1].

        Conformal: (1 + #{calibration scores >= score}) / (n + 1), valid for any distribution as long as the parts on
        the line are exchangeable with the calibration parts (Vovk, Gammerman & Shafer 2005). Tail: the fitted survival
        function, if the score lies in the tail. The p-value is at most `false_alarm_rate` exactly if the score is above
        the threshold.
        """
        if self.tail is not None and score >= self.tail.start:
            return max(self.tail.survival(score), 1e-12)
        above = len(self.scores) - bisect_left(self.scores, score)
        p_value = (1 + above * self.count / len(self.scores)) / (self.count + 1)
        if len(self.scores) == self.count:
            return p_value
        # A grid of quantiles rounds, but the p-value must agree with the verdict.
        rate = self.false_alarm_rate
        return min(p_value, rate) if score > self.threshold else max(p_value, math.nextafter(rate, 1))


def needed_for(false_alarm_rate: float) -> int:
    """Number of good scores that a conformal threshold needs for a rate a: the smallest n, ceil((n+1)(1-a)) <= n."""
    return math.ceil(1 / false_alarm_rate - 1e-9) - 1


def calibrate(good_scores: ArrayLike, false_alarm_rate: float) -> Calibration:
    """Set the threshold that a share `false_alarm_rate` (a) of good parts will exceed.

    With n >= 1/a - 1 scores: the ceil((n + 1)(1 - a))-th smallest, which a further good part exceeds with probability
    at most a, for any distribution (split conformal prediction, Papadopoulos et al. 2002). With fewer: the
    quantile of a generalised Pareto tail, see `fit_tail`.

    `good_scores`: float [n], n >= 3, finite. Raises ValueError otherwise.
    """
    scores = np.sort(np.asarray(good_scores, dtype=np.float64))
    if scores.ndim != 1 or len(scores) < 3 or not np.isfinite(scores).all():
        raise ValueError(f"calibration needs at least 3 finite scores of good parts, not {scores.shape}")
    n = len(scores)
    kept = scores if n <= MAX_SCORES_KEPT else np.quantile(scores, np.linspace(0, 1, MAX_SCORES_KEPT))
    if n >= needed_for(false_alarm_rate):
        rank = math.ceil((n + 1) * (1 - false_alarm_rate) - 1e-9)
        threshold, method, tail = float(scores[rank - 1]), "conformal", None
    else:
        tail = fit_tail(scores)
        threshold, method = tail.quantile(false_alarm_rate), "tail"
    return Calibration(
        threshold=threshold,
        false_alarm_rate=false_alarm_rate,
        method=method,  # type: ignore[arg-type]
        count=n,
        scores=tuple(float(score) for score in kept),
        tail=tail,
    )


def fit_tail(sorted_scores: np.ndarray) -> Tail:
    """Fit a generalised Pareto tail to the largest of `sorted_scores` (float [n], ascending, n >= 3).

    Peaks over threshold (Pickands 1975): the largest tenth of the scores, or ten scores if that is more and at most
    half of them. Fitted by probability-weighted moments (Hosking & Wallis 1987), which beat maximum likelihood on
    samples this small. The shape is at least 1 / peaks: with an exponential tail whose scale is estimated from so few
    peaks, a further score has exactly this distribution (Lomax 1954). The plain exponential's quantile for 0.1 %, from
    60 scores, is exceeded by 0.2 %. With fewer than `MIN_CALIBRATION_IMAGES` scores the shape has no such lower limit,
    and two to three times the chosen share of good parts may be flagged.
    """
    n = len(sorted_scores)
    peaks = max(math.ceil(0.1 * n), min(10, n // 2), 2)
    start = float(sorted_scores[n - peaks - 1])
    excess = sorted_scores[n - peaks :] - start
    plotting = (np.arange(1, peaks + 1) - 0.35) / peaks
    mean = float(excess.mean())
    weighted = float(((1 - plotting) * excess).mean())
    spread = float(sorted_scores.std()) or 1.0
    mass, min_shape = (peaks + 1) / (n + 1), 1 / peaks if n >= MIN_CALIBRATION_IMAGES else 0.0
    if mean <= 1e-9 * spread:  # ties at the top: the spread of all scores serves as the scale
        return Tail(start=start, mass=mass, scale=spread, shape=min_shape)
    shape = min(2 - mean / (mean - 2 * weighted), MAX_TAIL_SHAPE) if mean > 2 * weighted else 0.0
    if shape <= min_shape:
        return Tail(start=start, mass=mass, scale=mean, shape=min_shape)
    # The mean of a generalised Pareto excess is scale / (1 - shape): the mean is kept if the shape was clipped.
    return Tail(start=start, mass=mass, scale=mean * (1 - shape), shape=shape)
