"""One image of one part, good or defective, computed from its seed numbers alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_trainer.sample.camera import View, develop, draw_view, expose, on_belt, place
from andon_trainer.sample.defects import KINDS
from andon_trainer.sample.geometry import Array, f32
from andon_trainer.sample.part import draw_light, draw_part, shade
from andon_trainer.sample.products import PLATE_TOP, Face

# A pixel is in the mask where at least this share of it is damaged; the lens spreads a thin line over three pixels.
MIN_MASK_SHARE = 0.2
MIN_MASK_PIXELS = 10
# The most changed quarter of a defect's pixels must change by this many grey levels: about five times the noise.
MIN_CONTRAST = 9.0
MAX_GAIN = 3.0  # a defect that needs more amplification than this is drawn again
MAX_ATTEMPTS = 20


@dataclass(frozen=True)
class Photo:
    """An image and its mask, both uint8 [384, 384]; the mask is 255 on the defect and 0 elsewhere."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def photograph(numbers: Sequence[int], kind: str | None = None, face: Face = PLATE_TOP) -> Photo:
    """The `face` of the part that `numbers` seed: good, or with a defect of `kind`.

    The part, its position, the light and the sensor noise depend on `numbers` only: the same numbers without a kind
    give the same image without the defect.
    """
    part_rng, view_rng, defect_rng = (np.random.default_rng([*numbers, stream]) for stream in range(3))
    part, light, view = draw_part(part_rng, face), draw_light(part_rng), draw_view(view_rng)
    clean = on_belt(shade(part, light), part.coverage, light, view)
    if kind is None:
        return Photo(expose(clean, view), np.zeros(clean.shape, np.uint8))
    for _ in range(MAX_ATTEMPTS):
        damage = KINDS[kind](part, defect_rng)
        mask = place(damage.support, view) >= MIN_MASK_SHARE
        if mask.sum() < MIN_MASK_PIXELS:
            continue
        spoiled = on_belt(shade(damage.surface, light), damage.surface.coverage, light, view)
        gain = MIN_CONTRAST / max(contrast(clean, spoiled, mask, view), 1e-3)
        if gain > MAX_GAIN:
            continue
        # Shadows of the defect fade out close to it, so that the mask covers everything that changed.
        scene = clean + max(gain, 1.0) * (spoiled - clean) * surroundings(mask)
        return Photo(expose(np.maximum(scene, 0), view), mask.astype(np.uint8) * 255)
    raise RuntimeError(f"{kind}: no visible defect in {MAX_ATTEMPTS} attempts with the numbers {list(numbers)}")


def contrast(clean: Array, spoiled: Array, mask: NDArray[np.bool_], view: View) -> float:
    """The change in grey levels that a quarter of the defect's pixels exceed."""
    before, after = (develop(scene[mask] * np.float32(view.exposure)) for scene in (clean, spoiled))
    return float(np.percentile(np.abs(after - before), 75))


def surroundings(mask: NDArray[np.bool_]) -> Array:
    """1 on the mask, fading to 0 within two pixels of it."""
    wide = cv2.dilate(f32(mask), np.ones((3, 3), np.uint8))
    soft = f32(cv2.GaussianBlur(wide, (3, 3), 0.8))
    return f32(np.maximum(soft, mask))
