"""Which mask belongs to which image."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from andon_monitor.errors import UsageError

# What people and tools add to an image's name for the name of its mask.
ADDED = re.compile(
    r"([-_. ]\(?(masks?|binary|gt|ground[-_]?truth|labels?|seg|segmentation|annotations?)\)?)+$", re.IGNORECASE
)


def match_masks(images: Sequence[Path], root: Path, masks: Iterable[Path], mask_root: Path) -> dict[Path, Path]:
    """The mask of each image that has one. A mask's name is the image's, also with another suffix, `_mask`, `_gt`, ...

    Images lie below `root` and masks below `mask_root`, in the same subfolders, or in none. Raises UsageError where two
    masks have the name of one image.
    """
    added, same = defaultdict(list), defaultdict(list)
    for mask in masks:
        for place in {_place(mask, mask_root), mask.stem}:
            if (stem := ADDED.sub("", place)) != place:
                added[stem].append(mask)
            same[place].append(mask)
    found = {}
    for image in images:
        # Next to 7_mask.png, 7.png is a copy of the image.
        options = next(
            (names[key] for key in (_place(image, root), image.stem) for names in (added, same) if key in names), []
        )
        if len(options) > 1:
            raise UsageError(f"{options[0]}: {options[1]} is a mask of {image.name}, too; keep one of them")
        if options:
            found[image] = options[0]
    return found


def _place(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()
