"""Batches of good parts (days, materials, modules): how much one that was not learned from differs from the others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from andon_monitor.model.calibration import MIN_SCORES, calibrate
from numpy.typing import ArrayLike, NDArray

MIN_BATCHES_FOR_LIMIT = 4  # of fewer, the highest share says too little of the next one
LIMIT_CONFIDENCE = 0.8  # of 10 new batches, 8 stay below the limit
# Scores that follow the order of the images as chance makes them do once in 30,000 sets.
MIN_ORDER_DEVIATIONS = 4.0
MIN_ORDERED_IMAGES = 20


@dataclass(frozen=True)
class Batch:
    """The held-out images of one batch: how many, their median score, and how many the others' threshold flags."""

    name: str
    images: int
    median: float
    flagged: int

    @property
    def share(self) -> float:
        """The share of its good parts that would be called defects."""
        return self.flagged / self.images


@dataclass(frozen=True)
class Batches:
    """Batches with held-out images, two and more, by name.

    `whole` says whether whole ones were held out, as a new one is from the model; `total` counts all batches.
    """

    each: tuple[Batch, ...]
    whole: bool
    total: int

    @property
    def limit(self) -> float | None:
        """The share of good parts that of 10 new batches 8 do not exceed; None where there are too few to tell.

        The ceil((k + 1) 0.8)-th smallest share of k batches: a further batch stays below it with that probability, if
        batches are exchangeable (split conformal prediction, with batches as observations; Dunn, Wasserman & Ramdas,
        "Distribution-free prediction sets for two-layer hierarchical models", 2022).
        """
        if not self.whole or len(self.each) < MIN_BATCHES_FOR_LIMIT:
            return None
        shares = sorted(batch.share for batch in self.each)
        return shares[math.ceil((len(shares) + 1) * LIMIT_CONFIDENCE - 1e-9) - 1]


def compare_batches(
    names: Sequence[str | None], held_out_scores: ArrayLike, whole: bool, total: int, false_alarm_rate: float
) -> Batches | None:
    """Judge each batch by a threshold that the others set; None where there are not two.

    `names`: the batch of each held-out image; `held_out_scores`: float [n], theirs. `whole`, `total`: see `Batches`.
    """
    if None in names or len(set(names)) < 2:
        return None
    scores, batch_of = np.asarray(held_out_scores, np.float64), np.array(names)
    found = []
    for name in sorted(set(batch_of.tolist())):
        own, others = scores[batch_of == name], scores[batch_of != name]
        if len(others) < MIN_SCORES:
            return None
        threshold = calibrate(others, false_alarm_rate).threshold
        found.append(Batch(name, len(own), float(np.median(own)), int((own > threshold).sum())))
    return Batches(tuple(found), whole, total)


def follow_order(scores: ArrayLike, groups: NDArray[np.int64]) -> bool:
    """Whether scores, float [n], follow the order of their images more than chance makes them do.

    Then neighbours belong together: taken on one day, of one material, by one camera. Measured by the correlation of
    each score's rank with that of the next one, whose standard deviation is 1 / sqrt(n) where order means nothing. Of
    near-duplicates, `groups` int [n], only the first counts.
    """
    _, first = np.unique(groups, return_index=True)
    ranks = np.argsort(np.argsort(np.asarray(scores, np.float64)[np.sort(first)])).astype(np.float64)
    if len(ranks) < MIN_ORDERED_IMAGES:
        return False
    ranks = (ranks - ranks.mean()) / ranks.std()
    return float((ranks[1:] * ranks[:-1]).mean()) * math.sqrt(len(ranks)) > MIN_ORDER_DEVIATIONS
