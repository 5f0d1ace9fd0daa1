"""From anomaly scores of good parts to a threshold for a false-alarm rate, and from a score to a p-value."""

import math
from bisect import bisect_left
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from andon_monitor.common.intervals import beta_interval

# Above this shape a generalised Pareto distribution has infinite variance. So large a shape comes from the small number
# of scores, not from the parts.
MAX_TAIL_SHAPE = 0.5
# With fewer good scores than this, medians and spreads of them are too uncertain to call one of them an outlier.
MIN_CALIBRATION_IMAGES = 20
# At least this many scores are counted above a conformal threshold: were it one, a single defect among the good images
# would set the threshold and hide most others.
MIN_SCORES_ABOVE = 2
# Of the highest scores, which may be defects, this share is not measured but taken to be at least as high as the next.
CENSORED_SHARE = 0.01
# Rates that are chosen from where none is asked for, the lowest that the scores support. 1 % is what most lines can
# follow up; a lower one costs found defects, so it is only set where somebody asks for it.
DEFAULT_RATES = (0.01, 0.02, 0.05, 0.1)
RANGE_CONFIDENCE = 0.8  # of 10 lines with such thresholds, 8 flag a share within `Calibration.range`
# Calibration scores on the model card; of more scores, an even grid of this many quantiles.
MAX_SCORES_KEPT = 4096
MIN_SCORES = 3  # a tail has at least two peaks, and a start below them
MIN_RATE, MAX_RATE = 1e-9, 0.5  # false-alarm rates that can be asked for
# Largest allowed difference of a card's threshold and tail from what its scores give, relative to the scores' spread.
# Processors may sum in another order; a threshold that somebody has moved is off by far more.
CARD_TOLERANCE = 1e-6

# Scores are float32.
Score = Annotated[float, Field(ge=-3.5e38, le=3.5e38, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Tail(BaseModel):
    """A generalised Pareto distribution of the scores above `start`, which a share `mass` of good parts exceeds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    start: Score
    mass: Finite = Field(gt=0, lt=1)
    scale: Score = Field(gt=0)
    shape: Finite = Field(ge=0, le=MAX_TAIL_SHAPE)

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

    `method` is "conformal" where two scores or more are above the threshold, else "tail": an extrapolation, which is
    never below the second highest score. A part is a defect if its score is above `threshold`. `count` scores were
    used; `scores` are sorted. Threshold and tail must be what `calibrate` makes of these scores: a threshold that was
    moved or damaged is refused.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    threshold: Score
    false_alarm_rate: Finite = Field(ge=MIN_RATE, le=MAX_RATE)
    method: Literal["conformal", "tail"]
    count: int = Field(ge=MIN_SCORES, le=10**9)
    scores: tuple[Score, ...] = Field(min_length=MIN_SCORES, max_length=MAX_SCORES_KEPT)
    tail: Tail | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        scores, rate = np.array(self.scores), self.false_alarm_rate
        if len(scores) != min(self.count, MAX_SCORES_KEPT):
            raise ValueError(f"{len(scores)} scores of {self.count}")
        if (scores[1:] < scores[:-1]).any():
            raise ValueError("its scores are not sorted")
        if (self.method == "tail") != (self.tail is not None) or self.method != _method(self.count, rate):
            raise ValueError(f"the method {self.method} does not fit {self.count} scores and a rate of {rate:g}")
        spread = float(scores[-1] - scores[0])
        slack = CARD_TOLERANCE * (spread + max(abs(self.scores[0]), abs(self.scores[-1])))
        if self.tail is not None:
            _check_tail(self.tail, scores, self.count, slack)
            quantile = self.tail.quantile(rate)
            lowest, highest = (max(quantile, known) for known in _between(scores, self.count, _lowest_rank(self.count)))
            slack = max(slack, CARD_TOLERANCE * abs(highest))
        else:
            lowest, highest = _between(scores, self.count, _rank(self.count, rate))
        if not lowest - slack <= self.threshold <= highest + slack:
            raise ValueError(
                f"threshold {self.threshold:g} is not what its {self.count} scores give for a rate of {rate:g}"
            )
        return self

    @property
    def is_supported(self) -> bool:
        """Whether the scores are enough for the rate: it was counted, or can be extrapolated with little loss."""
        return self.method == "conformal" or self.false_alarm_rate >= supported_rate(self.count)

    @property
    def range(self) -> tuple[float, float] | None:
        """The share of good parts that 8 of 10 lines with such a threshold flag; None for a rate too low to tell.

        Exact where the threshold was counted. Where it was extrapolated, the share lies within in 7 to 9 cases of 10.
        """
        above = math.floor((self.count + 1) * self.false_alarm_rate + 1e-9)
        return beta_interval(above, self.count, RANGE_CONFIDENCE) if above else None

    def p_value(self, score: float) -> float:
        """The share of good parts expected to score at least `score`, in (0, 1].

        Conformal: (1 + #{calibration scores >= score}) / (n + 1), valid for any distribution as long as the parts on
        the line are exchangeable with the calibration parts (Vovk, Gammerman & Shafer 2005). Tail: the fitted survival
        function, if the score lies in the tail. The p-value is at most `false_alarm_rate` exactly if the score is above
        `threshold`; a threshold override for a camera does not change it.
        """
        if self.tail is not None and score >= self.tail.start:
            p_value = max(self.tail.survival(score), 1e-12)
        else:
            above = len(self.scores) - bisect_left(self.scores, score)
            p_value = (1 + above * self.count / len(self.scores)) / (self.count + 1)
            if len(self.scores) == self.count and self.tail is None:
                return p_value
        # Tails and grids of quantiles round, but the p-value must agree with the verdict.
        rate = self.false_alarm_rate
        return min(p_value, rate) if score > self.threshold else max(p_value, math.nextafter(rate, 1))


def needed_for(false_alarm_rate: float) -> int:
    """Number of good scores from which on a rate is counted: `MIN_SCORES_ABOVE` of n + 1 parts are above."""
    return math.ceil(MIN_SCORES_ABOVE / false_alarm_rate - 1e-9) - 1


def needed_to_support(rate: float) -> int:
    """Number of good scores of which one more part at `rate` is above the threshold."""
    return math.ceil(1 / rate - 1e-9) - 1


def supported_rate(count: int) -> float:
    """The lowest of `DEFAULT_RATES` of which `count` good scores hold an example, or else the highest of them.

    One more part than was scored is above the rate's threshold: up to there an extrapolation keeps the rate, and such a
    threshold finds four fifths and more of the defects that the best one at that rate finds.
    """
    return next((rate for rate in DEFAULT_RATES if count >= needed_to_support(rate)), DEFAULT_RATES[-1])


def calibrate(good_scores: ArrayLike, false_alarm_rate: float) -> Calibration:
    """Set the threshold that a share `false_alarm_rate` (a) of good parts will exceed.

    With n >= 2/a - 1 scores: the ceil((n + 1)(1 - a))-th smallest, which a further good part exceeds with probability
    at most a, for any distribution (split conformal prediction, Papadopoulos et al. 2002). With fewer: the quantile of
    a generalised Pareto tail, see `fit_tail`, and at least the second highest score, where counting ends. So the
    threshold never rises with the rate.

    `good_scores`: float [n], n >= 3, finite. Raises ValueError otherwise.
    """
    scores = np.sort(np.asarray(good_scores, dtype=np.float64))
    if scores.ndim != 1 or len(scores) < MIN_SCORES or not np.isfinite(scores).all():
        raise ValueError(f"calibration needs at least {MIN_SCORES} finite scores of good parts, not {scores.shape}")
    n = len(scores)
    kept = scores if n <= MAX_SCORES_KEPT else np.quantile(scores, np.linspace(0, 1, MAX_SCORES_KEPT))
    method = _method(n, false_alarm_rate)
    tail = fit_tail(scores) if method == "tail" else None
    rank = _lowest_rank(n) if tail else _rank(n, false_alarm_rate)
    counted = float(scores[rank - 1])
    return Calibration(
        threshold=max(tail.quantile(false_alarm_rate), counted) if tail else counted,
        false_alarm_rate=false_alarm_rate,
        method=method,
        count=n,
        scores=tuple(float(score) for score in kept),
        tail=tail,
    )


def fit_tail(sorted_scores: np.ndarray) -> Tail:
    """Fit a generalised Pareto tail to the largest of `sorted_scores` (float [n], ascending, n >= 3).

    Peaks over threshold (Pickands 1975): the largest tenth of the scores, or ten scores if that is more and at most
    half of them. The largest hundredth, one score at least, is censored: it counts as at least as large as the next, so
    one defect cannot set the threshold alone. The scale is then the total of all peaks over the number r of those
    that are measured (Epstein & Sobel, "Life testing", 1953), and censored peaks are taken to be one scale above.
    Shape and scale by probability-weighted moments (Hosking & Wallis 1987). The shape is at least 1 / r: with an
    exponential tail whose scale is estimated from r peaks, a further score has exactly this distribution (Lomax 1954).
    """
    n = len(sorted_scores)
    peaks = _peaks(n)
    measured = peaks - _censored(n)
    start = float(sorted_scores[n - peaks - 1])
    excess = sorted_scores[n - peaks :] - start
    highest = float(excess[measured - 1])
    scale = float(excess[:measured].sum() + (peaks - measured) * highest) / measured
    mass, min_shape = _mass(n), min(1 / measured, MAX_TAIL_SHAPE)
    spread = float(sorted_scores.std()) or 1.0
    if scale <= 1e-9 * spread:  # ties at the top: the spread of all scores serves as the scale
        return Tail(start=start, mass=mass, scale=spread, shape=min_shape)
    excess = np.concatenate([excess[:measured], np.full(peaks - measured, highest + scale)])
    plotting = (np.arange(1, peaks + 1) - 0.35) / peaks
    mean = float(excess.mean())
    weighted = float(((1 - plotting) * excess).mean())
    shape = min(2 - mean / (mean - 2 * weighted), MAX_TAIL_SHAPE) if mean > 2 * weighted else 0.0
    if shape <= min_shape:
        return Tail(start=start, mass=mass, scale=scale, shape=min_shape)
    # The mean of a generalised Pareto excess is scale / (1 - shape): the mean is kept if the shape was clipped.
    return Tail(start=start, mass=mass, scale=mean * (1 - shape), shape=shape)


def _method(count: int, false_alarm_rate: float) -> Literal["conformal", "tail"]:
    return "conformal" if count >= needed_for(false_alarm_rate) else "tail"


def _rank(count: int, false_alarm_rate: float) -> int:
    """The conformal threshold's place among `count` sorted scores, from 1."""
    return math.ceil((count + 1) * (1 - false_alarm_rate) - 1e-9)


def _lowest_rank(count: int) -> int:
    """The place from 1 of the score that a threshold from a tail is never below."""
    return count + 1 - MIN_SCORES_ABOVE


def _between(kept: NDArray[np.float64], count: int, rank: int) -> tuple[float, float]:
    """Between which two of the scores kept (float64 [K], sorted) the `rank`-th of `count` lies; they may be the same.

    Raises ValueError for a rank beyond `count`.
    """
    if not 1 <= rank <= count:
        raise ValueError(f"{count} scores are too few")
    place = (rank - 1) * (len(kept) - 1) / (count - 1)
    near = round(place)
    if abs(place - near) < 1e-9:
        return float(kept[near]), float(kept[near])
    return float(kept[math.floor(place)]), float(kept[math.ceil(place)])


def _check_tail(tail: Tail, kept: NDArray[np.float64], count: int, slack: float) -> None:
    """Raises ValueError where a tail is not that of the scores: exactly, or for a grid of them as far as it shows."""
    if len(kept) == count:
        right = fit_tail(kept)
        close = abs(tail.start - right.start) <= slack and abs(tail.scale - right.scale) <= slack
        if close and abs(tail.mass - right.mass) < CARD_TOLERANCE and abs(tail.shape - right.shape) < CARD_TOLERANCE:
            return
    else:
        lowest, highest = _between(kept, count, count - _peaks(count))
        within = lowest - slack <= tail.start <= highest + slack
        # No mean excess is larger than the largest, nor is a scale with some of them censored larger than twice that.
        # Where all scores are the same the scale is 1.
        largest = 2 * float(kept[-1] - kept[0]) or 1.0
        if within and tail.scale <= largest + slack and abs(tail.mass - _mass(count)) < CARD_TOLERANCE:
            return
    raise ValueError(f"its tail is not that of its {count} scores")


def _peaks(count: int) -> int:
    """How many of the largest of `count` scores a tail is fitted to."""
    return max(math.ceil(0.1 * count), min(10, count // 2), 2)


def _censored(count: int) -> int:
    """How many of the largest of `count` scores are censored; at least one peak is not."""
    return min(max(int(CENSORED_SHARE * count), 1), _peaks(count) - 1)


def _mass(count: int) -> float:
    """The share of good parts that are in the tail."""
    return (_peaks(count) + 1) / (count + 1)
