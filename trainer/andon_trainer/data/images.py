"""Image files: their bytes, headers and digests, and their pixels as a model takes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.image_files.decoding import decode, read_header
from andon_monitor.image_files.header import Header
from andon_monitor.model import imaging
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.data.arrays import array_file, read_member
from andon_trainer.data.dataset import Sample
from andon_trainer.progress import Progress, quiet

KEPT_BYTES = 2**30  # of encoded files, until the model's input is chosen: 3,000 photographs of 350 kB
GREY_TOLERANCE = 4  # grey levels by which the channels of a grey picture differ once it was saved as a colour JPEG


@dataclass(frozen=True)
class TrainingImages:
    """The images of good parts as the model takes them, handed from stage to stage of a fit.

    `pixels`: uint8 [N, H, W, C]; `groups`: int [N], the group of near-duplicates of each image. The network sees frames
    `pooling` times as low and narrow. `fingerprint` names exactly these files, see `ImageCache.fingerprint`.
    """

    samples: tuple[Sample, ...]
    spec: InputSpec
    pooling: int
    pixels: Pixels
    groups: NDArray[np.int64]
    fingerprint: str


class ImageCache:
    """What is known of image files: each is read and hashed once, and decoded once for each input of a model.

    The size of a model's frames is chosen from the headers of all images, and for textures tried at one size before the
    other. Until then files are held as they are on disk, at most `kept_bytes` of them; the others are read again.
    Images are not decoded once at the largest size and shrunk: a JPEG is decoded at a part of its size that depends on
    the model's input, and pixels shrunk from another size would not be those that the model sees on the line.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._room = kept_bytes
        self._contents: dict[Path, bytes] = {}
        self._digests: dict[Path, str] = {}
        self._headers: dict[Path, Header] = {}
        self._is_grey: dict[Path, bool] = {}
        self._peaks: dict[Path, int] = {}
        self._spec: InputSpec | None = None
        self._frames: dict[Path, Pixels] = {}  # of the latest input

    def read(self, path: Path) -> bytes:
        """The bytes of a file, or of an image in an array file. Raises UsageError."""
        if path in self._contents:
            return self._contents[path]
        content = read_bytes(path)
        self._digests[path] = sha256(content).hexdigest()
        if len(content) <= self._room:
            self._room -= len(content)
            self._contents[path] = content
        return content

    def release(self) -> None:
        """Forget the bytes of files, and keep none from now on: the model's input is chosen."""
        self._contents.clear()
        self._room = 0

    def fingerprint(self, samples: Sequence[Sample]) -> str:
        """A name for exactly these files: sha256 over the sorted sha256 of their bytes, 64 hexadecimal digits."""
        for sample in samples:
            if sample.path not in self._digests:
                self.read(sample.path)
        digests = sorted(self._digests[sample.path] for sample in samples)
        return sha256("".join(digests).encode()).hexdigest()

    def header(self, path: Path) -> Header:
        """The header of an image; its size is that once the picture is upright. Raises UsageError."""
        if path not in self._headers:
            self._headers[path] = _read_header(path, self.read(path))
        return self._headers[path]

    def is_grey(self, path: Path) -> bool:
        """Whether a colour file holds a grey picture. Raises UsageError."""
        if path not in self._is_grey:
            try:
                pixels = decode(self.read(path), channels=3).astype(np.int16)
            except ImageError as error:
                raise UsageError(f"{path}: {error}") from None
            self._is_grey[path] = int(np.ptp(pixels, axis=2).max()) <= GREY_TOLERANCE
        return self._is_grey[path]

    def peak(self, path: Path) -> int:
        """The largest value of an image's pixels, of 16-bit images up to 65,535. Raises UsageError."""
        if path not in self._peaks:
            image = cv2.imdecode(np.frombuffer(self.read(path), np.uint8), cv2.IMREAD_UNCHANGED)
            if image is None:
                raise UsageError(f"{path}: damaged image")
            self._peaks[path] = int(image[..., :3].max() if image.ndim == 3 else image.max())
        return self._peaks[path]

    def frame(self, path: Path, spec: InputSpec) -> Pixels:
        """One image as the model takes it: uint8 [H, W, C]. Raises UsageError."""
        if spec == self._spec and path in self._frames:
            return self._frames[path]
        return _decode(path, self.read(path), spec)

    def frames(self, samples: Sequence[Sample], spec: InputSpec, progress: Progress = quiet) -> Pixels:
        """All images as the model takes them: uint8 [N, H, W, C]; they are known from now on. Raises UsageError."""
        pixels = np.empty((len(samples), spec.height, spec.width, spec.channels), np.uint8)
        for i, sample in enumerate(samples):
            pixels[i] = self.frame(sample.path, spec)
            progress("reading images", (i + 1) / len(samples))
        if spec != self._spec:
            self._spec, self._frames = spec, {}
        self._frames.update((sample.path, frame) for sample, frame in zip(samples, pixels, strict=True))
        return pixels


def load_images(samples: Sequence[Sample], spec: InputSpec, progress: Progress = quiet) -> Pixels:
    """Decode and resize: uint8 [N, spec.height, spec.width, spec.channels]. Raises UsageError naming a bad file."""
    return ImageCache(kept_bytes=0).frames(samples, spec, progress)


def load_image(path: Path, spec: InputSpec) -> Pixels:
    """One image file as the model takes it: uint8 [H, W, C]. Raises UsageError."""
    return _decode(path, read_bytes(path), spec)


def load_mask(path: Path, spec: InputSpec) -> NDArray[np.bool_]:
    """A mask file as bool [spec.height, spec.width], cropped and resized as its image was. Raises UsageError."""
    try:
        mask = decode(read_bytes(path), channels=1)
        resized = imaging.prepare(mask, spec.model_copy(update={"channels": 1}))
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None
    return resized[:, :, 0] > 127


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or of an image in an array file. Raises UsageError."""
    if array_file(path.parent) is not None:
        return read_member(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _decode(path: Path, content: bytes, spec: InputSpec) -> Pixels:
    try:
        return imaging.load(content, spec)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None


def _read_header(path: Path, content: bytes) -> Header:
    try:
        header = read_header(content)
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None
    width, height = header.upright_size
    return replace(header, width=width, height=height)
