"""Image files without labels: what the commands that only read images (denoise, compress) work on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.image_files import folders
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits, Pixels
from andon_monitor.model.card import InputSpec

from andon_trainer.data.arrays import array_file, open_array
from andon_trainer.data.images import load_image, read_bytes
from andon_trainer.progress import Progress, quiet


@dataclass(frozen=True)
class ImageFiles:
    """Paths of images below `root`: a folder, or an array file.

    `limits`: how large an image may be. `notes`: what a person should know about the folder.
    """

    root: Path
    paths: tuple[Path, ...]
    limits: DecodingLimits = DEFAULT_LIMITS
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def names(self) -> list[str]:
        """The paths relative to the root, with forward slashes."""
        return [path.relative_to(self.root).as_posix() for path in self.paths]

    def select(self, indices: Sequence[int]) -> "ImageFiles":
        """The images at these indices."""
        return ImageFiles(self.root, tuple(self.paths[i] for i in indices), self.limits)

    def sizes(self) -> list[int]:
        """The size of each file in bytes; an image of an array file counts as a PNG file."""
        return [len(read_bytes(path)) for path in self.paths]

    def frames(self, spec: InputSpec, progress: Progress = quiet) -> Iterator[Pixels]:
        """Each image at the model's input size: uint8 [H, W, C]. Raises UsageError naming a bad file."""
        for i, path in enumerate(self.paths):
            yield load_image(path, spec, self.limits)
            progress("reading images", (i + 1) / len(self))

    def load(self, spec: InputSpec, progress: Progress = quiet) -> Pixels:
        """All images at the model's input size: uint8 [N, H, W, C]. Raises UsageError naming a bad file."""
        return np.stack(list(self.frames(spec, progress)))


def find_images(path: Path, limits: DecodingLimits = DEFAULT_LIMITS) -> ImageFiles:
    """One image; or all images in a folder and its subfolders, sorted; or those of an array file. Raises UsageError."""
    if array_file(path) is not None:
        array = open_array(path)
        return ImageFiles(array.place, tuple(array.paths()), limits)
    if path.is_file():
        return ImageFiles(path.parent, (path,), limits)
    if not path.is_dir():
        raise UsageError(f"{path}: no such file or folder")
    try:
        found, passed_over = folders.find_images(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    if not found:
        raise UsageError(f"{path}: no images in it" + (f" ({passed_over})" if passed_over.total else ""))
    notes = (f"{path}: {passed_over}",) if passed_over.total else ()
    return ImageFiles(path, tuple(sorted(found)), limits, notes)


def encode_image(frame: Pixels, path: Path) -> bytes:
    """The bytes of an image file of uint8 [H, W, C], in the format that the path's suffix names. Raises UsageError."""
    ordered = frame if frame.shape[2] == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    try:
        _, data = cv2.imencode(path.suffix, ordered)
    except cv2.error:
        raise UsageError(f"{path}: unknown image format; give a name that ends in .png") from None
    return data.tobytes()
