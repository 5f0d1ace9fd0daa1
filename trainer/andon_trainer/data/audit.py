"""What was learned from: near-twins, images that may be no good parts, exposure, sharpness, and how the parts lie.

All of it is for a person to look at. Nothing is thrown away but what would spoil the threshold, see `far_out`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from andon_monitor.model import imaging
from andon_monitor.model.calibration import MIN_CALIBRATION_IMAGES
from andon_monitor.model.imaging import Pixels
from numpy.typing import ArrayLike, NDArray

from andon_trainer.data.dataset import Sample
from andon_trainer.data.near_duplicates import twins_between
from andon_trainer.data.splits import Split

# Images this many robust deviations away are named. Of good parts with normal scores it would be one in three million;
# of real ones it is a few, which is what a person's look is for.
ODD = 5.0
# Held-out images this far out set no threshold. On the sample part one or two defects among sixty good ones raised that
# for a rate of 0.1 % so far that 13 to 18 % of the defects were found, and 67 to 77 % without them.
FAR_OUT = 10.0
FAR_OUT_MOST = 0.05  # of the held-out images; where more lie far out, that is how good parts are spread

Use = Literal["learned from", "held out"]


@dataclass(frozen=True)
class Odd:
    """One image that is unlike the others: its value, and by how many robust deviations."""

    sample: Sample
    value: float
    deviations: float
    use: Use


@dataclass(frozen=True)
class Measured:
    """One quantity of all images, float [N], and those that are far from the median, the farthest first."""

    values: NDArray[np.float64]
    odd: tuple[Odd, ...]


@dataclass(frozen=True)
class Audit:
    """What is worth knowing about the images of good parts."""

    twins: tuple[tuple[Sample, ...], ...]  # groups of two and more, the largest first
    copies: int  # images that are, at the model's size, pixel for pixel one of the others
    suspects: tuple[Odd, ...]  # that score like no good part, the highest first
    brightness: Measured  # 0..1
    sharpness: Measured  # squared grey levels
    shift: Measured | None  # share of the frame's longer side; None where parts are not registered
    turn: Measured | None  # degrees, counter-clockwise; the same
    tested: int  # good test images
    tested_twins: tuple[Sample, ...]  # those that are near-twins of images in the training folder

    def counts(self) -> dict[str, int]:
        """As the model card keeps it."""
        return {"suspects": len(self.suspects), "tested_twins": len(self.tested_twins)}


def audit(
    samples: Sequence[Sample],
    images: Pixels,
    parts: Split,
    scores: NDArray[np.float32],
    tested: Sequence[Sample],
    tested_images: Pixels,
    poses: NDArray[np.float32] | None = None,
) -> Audit:
    """Look through the images of good parts, uint8 [N, H, W, C], their poses [N, 4], and the good test images.

    `scores`: float [N], the finished model's. Those of held-out images are the scale for all. What was learned from
    scores lower: a defect among it is far above good parts where these lie alike, and hardly where they are a texture,
    whose memory holds the defect's own patches.
    """
    use: list[Use] = ["learned from"] * len(samples)
    for i in parts.calibration:
        use[i] = "held out"

    def measured(values: ArrayLike, deviations: NDArray[np.float64]) -> Measured:
        array = np.asarray(values, dtype=np.float64)
        farthest = np.argsort(-np.abs(deviations), kind="stable")
        chosen = [i for i in farthest if abs(deviations[i]) > ODD]
        return Measured(array, tuple(Odd(samples[i], float(array[i]), float(deviations[i]), use[i]) for i in chosen))

    above = np.maximum(robust_deviations(scores, scores[parts.calibration]), 0)
    brightness = np.array([imaging.brightness(image) for image in images])
    sharpness = np.array([imaging.sharpness(image) for image in images])
    ratio = np.log1p(sharpness)  # a lens out of focus divides it, it does not subtract
    shift = turn = None
    if poses is not None:
        far, turned = np.hypot(poses[:, 2], poses[:, 3]) / 2, -np.degrees(np.arctan2(poses[:, 1], poses[:, 0]))
        shift = measured(far, robust_deviations(far, far))
        turn = measured(turned, robust_deviations(turned, turned))
    return Audit(
        twins=twin_groups(samples, parts.groups),
        copies=len(images) - len({image.tobytes() for image in images}),
        suspects=measured(scores, above).odd,
        brightness=measured(brightness, robust_deviations(brightness, brightness)),
        sharpness=measured(sharpness, robust_deviations(ratio, ratio)),
        shift=shift,
        turn=turn,
        tested=len(tested),
        tested_twins=twins_between(images, tested, tested_images),
    )


def far_out(held_out_scores: ArrayLike) -> NDArray[np.bool_]:
    """Which held-out scores (float [n]) are so far out that they should not set the threshold: bool [n]."""
    scores = np.asarray(held_out_scores, dtype=np.float64)
    out: NDArray[np.bool_] = robust_deviations(scores, scores) > FAR_OUT
    if len(scores) < MIN_CALIBRATION_IMAGES or out.sum() > max(1, FAR_OUT_MOST * len(scores)):
        return np.zeros(len(scores), np.bool_)
    return out


def robust_deviations(values: ArrayLike, usual: ArrayLike) -> NDArray[np.float64]:
    """How far values [n] are from the median of `usual`, in its median absolute deviations, scaled to a normal's.

    Neither is moved by a few outliers (Iglewicz & Hoaglin, "How to Detect and Handle Outliers", 1993).
    """
    known = np.asarray(usual, dtype=np.float64)
    middle = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    # Where half of the values are the same, the smallest difference would be infinitely far out.
    deviations: NDArray[np.float64] = (np.asarray(values, dtype=np.float64) - middle) / max(
        spread, 1e-3 * abs(middle), 1e-9
    )
    return deviations


def twin_groups(samples: Sequence[Sample], groups: NDArray[np.int64]) -> tuple[tuple[Sample, ...], ...]:
    """The images of each group of two and more, the largest group first; `groups`: int [N] as of `find_twins`."""
    members = [np.flatnonzero(groups == group).tolist() for group in np.unique(groups)]
    found = sorted((group for group in members if len(group) > 1), key=lambda group: (-len(group), group[0]))
    return tuple(tuple(samples[i] for i in group) for group in found)
