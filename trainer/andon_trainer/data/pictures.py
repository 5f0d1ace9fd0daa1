"""Whether images are worth learning from: they show something, and not all the same."""

from collections.abc import Sequence

import cv2
import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.data.dataset import MIN_IMAGES
from andon_trainer.data.images import ImageCache
from andon_trainer.data.sample import Sample

# An image shows nothing where its pixels, but for this share of the darkest and brightest, are equal up to so many grey
# levels: a lens cap, no light, everything overexposed.
BLANK_IGNORED_SHARE = 0.005
BLANK_GREY_LEVELS = 2
MAX_BLANK_SHARE = 0.5  # of the images; beyond it, blank images are what would be learned
# Mean difference in grey levels of one picture saved in two formats or qualities, of JPEG from about 40 on, once it is
# shrunk so many times along each side: what saving changes is fine, and fades. Two photographs of a still part may
# differ as little, so only files that were encoded differently are compared with it.
SAME_PICTURE_GREY_LEVELS = 1.1
SHRINKING = 4
NAMED_EXAMPLES = 3


def check_pictures(samples: Sequence[Sample], pixels: Pixels, files: ImageCache) -> None:
    """Check good images before anything is learned from them; `pixels` uint8 [N, H, W, C] at the model's size.

    Raises UsageError, which names examples: most are blank, or fewer than MIN_IMAGES different pictures are left.
    """
    blank = [i for i in range(len(samples)) if is_blank(pixels[i])]
    if len(blank) > MAX_BLANK_SHARE * len(samples) or (blank and len(samples) - len(blank) < MIN_IMAGES):
        examples = ", ".join(f"{samples[i].path.name} ({_shade(pixels[i])})" for i in blank[:NAMED_EXAMPLES])
        raise UsageError(
            f"{samples[blank[0]].path.parent}: {len(blank)} of {len(samples)} images show nothing, their pixels are "
            f"all equal: {examples}{', ...' * (len(blank) > NAMED_EXAMPLES)}; check light, lens cap and export"
        )
    found = different_pictures(samples, pixels, files)
    if len(found) < MIN_IMAGES:
        first = samples[found[0]].path
        copies = [samples[i].path.name for i in range(len(samples)) if i not in found][:NAMED_EXAMPLES]
        raise UsageError(
            f"{first.parent}: {len(samples)} images, but only {len(found)} different "
            f"{'picture' if len(found) == 1 else 'pictures'}, at least {MIN_IMAGES} are needed; copies are "
            f"{', '.join(copies)}{', ...' * (len(samples) - len(found) > NAMED_EXAMPLES)}"
        )


def is_blank(frame: Pixels) -> bool:
    """Whether a frame uint8 [H, W, C] shows nothing; a few hot or dead pixels do not count."""
    ignored = BLANK_IGNORED_SHARE
    for channel in np.moveaxis(frame, 2, 0):
        counts = np.bincount(channel.ravel(), minlength=256).cumsum() / channel.size
        low, high = np.searchsorted(counts, (ignored, 1 - ignored), side="right")
        if high - low > BLANK_GREY_LEVELS:
            return False
    return True


def different_pictures(samples: Sequence[Sample], pixels: Pixels, files: ImageCache) -> list[int]:
    """The first images that are different pictures, as indices, at most MIN_IMAGES of them."""
    found: list[int] = []
    for i in range(len(samples)):
        if not any(_same(i, j, samples, pixels, files) for j in found):
            found.append(i)
        if len(found) == MIN_IMAGES:
            break
    return found


def _same(i: int, j: int, samples: Sequence[Sample], pixels: Pixels, files: ImageCache) -> bool:
    """Whether two images are one picture: the same bytes, the same pixels, or nearly so in two formats or qualities."""
    one, other = samples[i].path, samples[j].path
    if files.digest(one) == files.digest(other):
        return True
    if files.encoding(one) != files.encoding(other):
        return bool(np.abs(_shrunk(pixels[i]) - _shrunk(pixels[j])).mean() <= SAME_PICTURE_GREY_LEVELS)
    return np.array_equal(pixels[i], pixels[j]) and _equal(files.values(one), files.values(other))


def _shrunk(frame: Pixels) -> NDArray[np.float32]:
    """A frame uint8 [H, W, C] as float32, by means of areas."""
    height, width = (max(1, side // SHRINKING) for side in frame.shape[:2])
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _equal(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    """Whether two images [H, W, 1 or 3] are equal; one may be a grey picture saved in colour."""
    return one.shape[:2] == other.shape[:2] and bool((one == other).all())


def _shade(frame: Pixels) -> str:
    mean = float(frame.mean())
    return "black" if mean <= BLANK_GREY_LEVELS else "white" if mean >= 255 - BLANK_GREY_LEVELS else "one shade"
