"""Two models on the same labelled images: which is right more often, and how sure that is."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from andon_monitor.common.files import read_within
from andon_monitor.common.intervals import sign_test
from andon_monitor.errors import ImageError
from andon_monitor.formats.evidence_package import MAX_FRAME_BYTES
from andon_monitor.model import imaging
from andon_monitor.model.file import Model

GOOD = "good"
SURE = 0.05  # chance alone may give such a difference in 5 of 100 cases


class Judged(BaseModel):
    """What the old and the new model make of labelled images; counts of images.

    `gained`: only the new model is right; `lost`: only the old one is.
    """

    model_config = ConfigDict(frozen=True)

    good: int
    defects: int
    old_alarms: int
    new_alarms: int
    old_found: int
    new_found: int
    gained: int
    lost: int
    unreadable: int = 0

    @property
    def chance(self) -> float:
        """How often chance alone would give so uneven a difference, 1 where there is none."""
        found = sign_test(self.gained, self.lost)
        return 1.0 if found is None else found

    @property
    def verdict(self) -> str:
        """One word or two."""
        if self.gained == self.lost:
            return "No better"
        sure = self.chance < SURE
        if self.gained > self.lost:
            return "Better" if sure else "Perhaps better"
        return "Worse" if sure else "Perhaps worse"

    @property
    def sentence(self) -> str:
        """Whether the new model is better, and how sure that is, in one sentence."""
        images = f"{self.good + self.defects} labelled images that neither learned from"
        if self.gained == self.lost == 0:
            return f"{self.verdict}: both are right on the same of {images}."
        chance = 100 * self.chance
        how = f"chance alone would do so in {chance:.0f} of 100 cases" if chance >= 1 else "this is no chance"
        sure = "" if self.chance < SURE else ", so it is not certain"
        return (
            f"{self.verdict}: of {images} the new model is right on {self.gained} where the old one is wrong, "
            f"and wrong on {self.lost} where the old one is right; {how}{sure}."
        )


def judge(old: Model, new: Model, images: Iterable[tuple[str, str]]) -> Judged:
    """Compare two models at their thresholds on image files with their truth, "good" or a kind of defect."""
    rows: list[tuple[bool, bool, bool]] = []  # is a defect, flagged by the old, by the new model
    unreadable = 0
    for path, truth in images:
        before, after = (read_score(model, path) for model in (old, new))
        if before is None or after is None:
            unreadable += 1
            continue
        rows.append((truth != GOOD, before > old.card.threshold, after > new.card.threshold))
    return _count(rows, unreadable)


def read_score(model: Model, path: str) -> float | None:
    """The score of an image file, None where it cannot be read."""
    try:
        frame = imaging.load(read_within(Path(path), MAX_FRAME_BYTES), model.card.input)
    except (ImageError, OSError):
        return None
    return float(model.score(frame[None])[0])


def _count(rows: Sequence[tuple[bool, bool, bool]], unreadable: int) -> Judged:
    good = [(old, new) for is_defect, old, new in rows if not is_defect]
    defects = [(old, new) for is_defect, old, new in rows if is_defect]
    return Judged(
        good=len(good),
        defects=len(defects),
        old_alarms=sum(old for old, _ in good),
        new_alarms=sum(new for _, new in good),
        old_found=sum(old for old, _ in defects),
        new_found=sum(new for _, new in defects),
        gained=sum(old and not new for old, new in good) + sum(new and not old for old, new in defects),
        lost=sum(new and not old for old, new in good) + sum(old and not new for old, new in defects),
        unreadable=unreadable,
    )
