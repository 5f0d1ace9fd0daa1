"""What the commands share: images in, pictures out, tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from andon_monitor.common.files import check_writable
from andon_monitor.errors import UsageError
from rich.table import Table

from andon_trainer.cli.console import out, say
from andon_trainer.progress import Progress

if TYPE_CHECKING:
    from andon_monitor.model.card import InputSpec
    from andon_monitor.model.imaging import Pixels

Images = Annotated[
    Path,
    typer.Argument(help="A folder of images in any depth of folders, one image, or an array file (npy, npz, IDX)."),
]
Picture = Annotated[Path | None, typer.Option("--picture", help="Also draw the result: a PNG file.")]


@dataclass(frozen=True)
class ImageSet:
    """Image files below `root`, which is a folder or, of images in an array file, that file."""

    root: Path
    paths: tuple[Path, ...]

    def names(self) -> list[str]:
        """Their names below the root."""
        return [path.relative_to(self.root).as_posix() for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def some(self, places: Sequence[int]) -> "ImageSet":
        """Those at these places."""
        return ImageSet(self.root, tuple(self.paths[i] for i in places))

    def sizes(self) -> list[int]:
        """The bytes of each file; an image of an array counts as the PNG file that it is read as."""
        from andon_trainer.data.dataset import read_bytes

        return [len(read_bytes(path)) for path in self.paths]

    def frames(self, spec: "InputSpec", show: Progress) -> "Iterator[Pixels]":
        """Each as the model takes it: uint8 [H, W, C]. Raises UsageError."""
        from andon_trainer.data.dataset import load_image

        for i, path in enumerate(self.paths):
            yield load_image(path, spec)
            show("reading images", (i + 1) / len(self))

    def load(self, spec: "InputSpec", show: Progress) -> "Pixels":
        """All of them: uint8 [N, H, W, C]. Raises UsageError."""
        import numpy as np

        return np.stack(list(self.frames(spec, show)))


def find_images(path: Path) -> ImageSet:
    """One image, all in a folder and its folders, sorted, or those in an array file. Raises UsageError."""
    from andon_monitor.model.imaging import SUFFIXES

    from andon_trainer.data.arrays import array_file, open_array

    if array_file(path) is not None:
        array = open_array(path)
        return ImageSet(array.place, tuple(array.paths()))
    if path.is_file():
        return ImageSet(path.parent, (path,))
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not found:
        raise UsageError(f"{path}: {'no images in it' if path.is_dir() else 'no such file or folder'}")
    return ImageSet(path, tuple(found))


def encode_image(frame: "Pixels", path: Path) -> bytes:
    """The bytes of an image file for a picture uint8 [H, W, C], in the format that the name says. Raises UsageError."""
    import cv2

    ordered = frame if frame.shape[2] == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    try:
        _, data = cv2.imencode(path.suffix, ordered)
    except cv2.error:
        raise UsageError(f"{path}: unknown format of an image; give a name that ends in .png") from None
    return data.tobytes()


def check_targets(*paths: Path | None) -> None:
    """Raises UsageError where a file could not be written under one of these names."""
    for path in paths:
        if path is not None:
            check_writable(path)


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly spread."""
    return sorted({round(i * (count - 1) / max(1, most - 1)) for i in range(most)})


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of words and figures."""
    table = Table(title=title, title_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def say_picture(picture: Path | None) -> None:
    """Say where the picture is."""
    if picture is not None:
        say(f"{picture}: the picture")
