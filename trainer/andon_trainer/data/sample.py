"""One image of a data set."""

from dataclasses import dataclass
from pathlib import Path

GOOD = "good"


@dataclass(frozen=True)
class Sample:
    """One image: its label ("good" or a kind of defect) and, where there is one, its mask file.

    `path`: a file, an image in an array file, or a frame of a recording, see `data.images.read_bytes`. `part`: which
    part it shows, where that is known: images of one part count as near-duplicates. `batch`: the recording or batch
    that it comes from, see `data.splits.whole_batches`.
    """

    path: Path
    label: str
    mask: Path | None = None
    part: str | None = None
    batch: str | None = None
