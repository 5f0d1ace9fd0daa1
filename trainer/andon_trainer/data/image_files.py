"""Image files without labels: what the commands that only read images (denoise, compress) work on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import SUFFIXES, Pixels
from andon_monitor.model.card import InputSpec

from andon_trainer.data.arrays import array_file, open_array
from andon_trainer.data.images import load_image, read_bytes
from andon_trainer.progress import Progress, quiet


@dataclass(frozen=True)
class ImageFiles:
    """Paths of images below `root`: a folder, or an array file."""

    root: Path
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def names(self) -> list[str]:
        """The paths relative to the root, with forward slashes."""
        return [path.relative_to(self.root).as_posix() for path in self.paths]

    def select(self, indices: Sequence[int]) -> "ImageFiles":
        """The images at these indices."""
        return ImageFiles(self.root, tuple(self.paths[i] for i in indices))

    def sizes(self) -> list[int]:
        """The size of each file in bytes; an image of an array file counts as a PNG file."""
        return [len(read_bytes(path)) for path in self.paths]

    def frames(self, spec: InputSpec, progress: Progress = quiet) -> Iterator[Pixels]:
        """Each image at the model's input size: uint8 [H, W, C]. Raises UsageError naming a bad file."""
        for i, path in enumerate(self.paths):
            yield load_image(path, spec)
            progress("reading images", (i + 1) / len(self))

    def load(self, spec: InputSpec, progress: Progress = quiet) -> Pixels:
        """All images at the model's input size: uint8 [N, H, W, C]. Raises UsageError naming a bad file."""
        return np.stack(list(self.frames(spec, progress)))


def find_images(path: Path) -> ImageFiles:
    """One image; or all images in a folder and its subfolders, sorted; or those of an array file. Raises UsageError."""
    if array_file(path) is not None:
        array = open_array(path)
        return ImageFiles(array.place, tuple(array.paths()))
    if path.is_file():
        return ImageFiles(path.parent, (path,))
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not found:
        raise UsageError(f"{path}: {'no images in it' if path.is_dir() else 'no such file or folder'}")
    return ImageFiles(path, tuple(found))


def encode_image(frame: Pixels, path: Path) -> bytes:
    """The bytes of an image file of uint8 [H, W, C], in the format that the path's suffix names. Raises UsageError."""
    ordered = frame if frame.shape[2] == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    try:
        _, data = cv2.imencode(path.suffix, ordered)
    except cv2.error:
        raise UsageError(f"{path}: unknown image format; give a name that ends in .png") from None
    return data.tobytes()
