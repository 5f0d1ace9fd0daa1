"""One image as the writers of the formats take it."""

from dataclasses import dataclass

from andon_trainer.annotations.marked import Pixels, Size


@dataclass(frozen=True)
class ExportedImage:
    """`name`: its path below the folder, with slashes. `mask`: None where there is none."""

    name: str
    label: str
    size: Size
    mask: Pixels | None
