"""The images of good parts: near-duplicates, batches, possible defects, exposure, sharpness, how the parts lie.

All of it is for a person to check. Nothing is left out, except held-out images that would spoil the threshold, see
`far_out`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from andon_monitor.model import imaging
from andon_monitor.model.calibration import DEFAULT_RATES, MIN_CALIBRATION_IMAGES
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked
from numpy.typing import ArrayLike, NDArray

from andon_trainer.data.batches import Batches, compare_batches, follow_order
from andon_trainer.data.near_duplicates import near_duplicates_between
from andon_trainer.data.pictures import is_blank
from andon_trainer.data.sample import Sample
from andon_trainer.data.splits import Split, whole_batches

# Robust deviations from which on an image is named as an outlier. With normal scores it would be one good part in three
# million; with real ones it is a few, which a person can check.
OUTLIER_DEVIATIONS = 5.0
# Robust deviations from which on a held-out image sets no threshold. On the sample part one or two defects among sixty
# good ones raised the threshold for a rate of 0.1 % so far that 13 to 18 % of the defects were found, and 67 to 77 %
# without them.
FAR_OUT_DEVIATIONS = 10.0
# Of the held-out images, or one; where more are far out, good parts simply vary that much. Parts like those left out
# are flagged whatever the rate, so more than this would make the rate worthless where they are good.
MAX_FAR_OUT_SHARE = 0.01
MAD_TO_STD = 1.4826  # the standard deviation of normal values, as a multiple of their median absolute deviation

Use = Literal["learned from", "held out"]


@dataclass(frozen=True)
class Outlier:
    """One image that is unlike the others: its value, and how many robust deviations it is from the median."""

    sample: Sample
    value: float
    deviations: float
    use: Use


@dataclass(frozen=True)
class Measured:
    """One quantity of all images, float [N], and its outliers, the farthest from the median first."""

    values: NDArray[np.float64]
    outliers: tuple[Outlier, ...]


@dataclass(frozen=True)
class Audit:
    """What is worth knowing about the images of good parts."""

    near_duplicates: tuple[tuple[Sample, ...], ...]  # groups of two and more, the largest first
    blank: tuple[Sample, ...]  # that show nothing
    copies: int  # images that are, at the model's size, equal to another one pixel by pixel
    suspects: tuple[Outlier, ...]  # that score far above good parts, the highest first
    brightness: Measured  # 0..1
    sharpness: Measured  # squared grey levels
    shift: Measured | None  # share of the frame's longer side; None where parts are not registered
    turn: Measured | None  # degrees, counter-clockwise; the same
    batches: Batches | None  # of the held-out images; None where there are not two
    ordered: bool  # no batches are given, and scores of held-out images follow their order as those of batches do
    tested: int  # good test images
    tested_near_duplicates: tuple[Sample, ...]  # those with a near-duplicate in the training folder

    def counts(self) -> dict[str, int]:
        """As the model card keeps it."""
        return {"suspects": len(self.suspects), "tested_twins": len(self.tested_near_duplicates)}


def audit(
    samples: Sequence[Sample],
    images: Pixels,
    parts: Split,
    scores: NDArray[np.float32],
    tested: Sequence[Sample],
    tested_images: Pixels,
    poses: NDArray[np.float32] | None = None,
    masked: Masked | None = None,
    false_alarm_rate: float = DEFAULT_RATES[0],
) -> Audit:
    """Check the images of good parts, uint8 [N, H, W, C], their poses [N, 4], and the good test images.

    `masked`: bool [H, W], pixels that the model does not look at. `false_alarm_rate`: at which batches are compared.

    `scores`: float [N], of the finished model. Held-out images set the scale for all. Images that were learned from
    score lower: a defect among them is far above good parts where parts are aligned, but hardly where they are a
    texture, whose memory holds the defect's own patches.
    """
    use: list[Use] = ["learned from"] * len(samples)
    for i in parts.calibration:
        use[i] = "held out"

    def measured(values: ArrayLike, deviations: NDArray[np.float64]) -> Measured:
        array = np.asarray(values, dtype=np.float64)
        farthest = np.argsort(-np.abs(deviations), kind="stable")
        chosen = [i for i in farthest if abs(deviations[i]) > OUTLIER_DEVIATIONS]
        outliers = (Outlier(samples[i], float(array[i]), float(deviations[i]), use[i]) for i in chosen)
        return Measured(array, tuple(outliers))

    above = np.maximum(robust_deviations(scores, scores[parts.calibration]), 0)
    brightness = np.array([imaging.brightness(image, masked) for image in images])
    sharpness = np.array([imaging.sharpness(image, masked) for image in images])
    ratio = np.log1p(sharpness)  # a lens out of focus divides it, it does not subtract
    shift = turn = None
    if poses is not None:
        far, turned = np.hypot(poses[:, 2], poses[:, 3]) / 2, -np.degrees(np.arctan2(poses[:, 1], poses[:, 0]))
        shift = measured(far, robust_deviations(far, far))
        turn = measured(turned, robust_deviations(turned, turned))
    held_out = parts.calibration
    names = [samples[i].batch for i in held_out]
    batch_of = [sample.batch for sample in samples]
    whole = whole_batches(parts.groups, batch_of) is not parts.groups
    batches = compare_batches(names, scores[held_out], whole, len(set(batch_of)), false_alarm_rate)
    return Audit(
        near_duplicates=samples_by_group(samples, parts.groups),
        blank=tuple(sample for sample, image in zip(samples, images, strict=True) if is_blank(image)),
        copies=len(images) - len({image.tobytes() for image in images}),
        suspects=measured(scores, above).outliers,
        brightness=measured(brightness, robust_deviations(brightness, brightness)),
        sharpness=measured(sharpness, robust_deviations(ratio, ratio)),
        shift=shift,
        turn=turn,
        batches=batches,
        ordered=batches is None and follow_order(scores[held_out], parts.groups[held_out]),
        tested=len(tested),
        tested_near_duplicates=near_duplicates_between(images, tested, tested_images, masked=masked),
    )


def far_out(held_out_scores: ArrayLike) -> NDArray[np.bool_]:
    """Which held-out scores (float [n]) are too far out to set the threshold: bool [n]."""
    scores = np.asarray(held_out_scores, dtype=np.float64)
    out: NDArray[np.bool_] = robust_deviations(scores, scores) > FAR_OUT_DEVIATIONS
    if len(scores) < MIN_CALIBRATION_IMAGES or out.sum() > max(1, MAX_FAR_OUT_SHARE * len(scores)):
        return np.zeros(len(scores), np.bool_)
    return out


def robust_deviations(values: ArrayLike, usual: ArrayLike) -> NDArray[np.float64]:
    """How far values [n] are from the median of `usual`, in its median absolute deviations, scaled to normal values.

    A few outliers change neither (Iglewicz & Hoaglin, "How to Detect and Handle Outliers", 1993).
    """
    known = np.asarray(usual, dtype=np.float64)
    middle = float(np.median(known))
    spread = MAD_TO_STD * float(np.median(np.abs(known - middle)))
    # Where half of the values are the same, the smallest difference would be infinitely far out.
    deviations: NDArray[np.float64] = (np.asarray(values, dtype=np.float64) - middle) / max(
        spread, 1e-3 * abs(middle), 1e-9
    )
    return deviations


def samples_by_group(samples: Sequence[Sample], groups: NDArray[np.int64]) -> tuple[tuple[Sample, ...], ...]:
    """The images of each group of two and more, the largest group first; `groups`: int [N] of
    `group_near_duplicates`."""
    members = [np.flatnonzero(groups == group).tolist() for group in np.unique(groups)]
    found = sorted((group for group in members if len(group) > 1), key=lambda group: (-len(group), group[0]))
    return tuple(tuple(samples[i] for i in group) for group in found)
