"""Image files: their bytes, headers and digests, and their pixels as a model takes them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits, decode, decode_values, read_header
from andon_monitor.image_files.header import Header
from andon_monitor.image_files.jpeg import quantization
from andon_monitor.image_files.reading import read_image_file
from andon_monitor.model import imaging
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.data.arrays import array_file, read_member
from andon_trainer.data.frame_store import read_frame
from andon_trainer.data.levels import ValueRange, value_range
from andon_trainer.data.sample import Sample
from andon_trainer.progress import Progress, quiet

# Of files that were decoded within the limits of a command before, and are shown in its report.
ALREADY_DECODED = DecodingLimits(max_pixels=10**12, max_bytes=10**12)
KEPT_BYTES = 2**30  # of encoded files, until the model's input is chosen: 3,000 photographs of 350 kB
# A grey picture that was saved as a colour JPEG is grey by up to so many grey levels, in a few pixels by more.
GREY_TOLERANCE, MAX_GREY_TOLERANCE = 4, 12
MAX_SHARE_ABOVE_TOLERANCE = 1e-3
COLOUR_CHECK_PIXELS = 512  # along each side, of a JPEG whose colours are looked at


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

    def __init__(self, kept_bytes: int = KEPT_BYTES, limits: DecodingLimits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._room = kept_bytes
        self._contents: dict[Path, bytes] = {}
        self._digests: dict[Path, str] = {}
        self._headers: dict[Path, Header] = {}
        self._encodings: dict[Path, tuple[object, ...]] = {}
        self._is_grey: dict[Path, bool] = {}
        self._ranges: dict[Path, ValueRange] = {}
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
        digests = sorted(self.digest(sample.path) for sample in samples)
        return sha256("".join(digests).encode()).hexdigest()

    def digest(self, path: Path) -> str:
        """The sha256 of a file's bytes. Raises UsageError."""
        if path not in self._digests:
            self.read(path)
        return self._digests[path]

    def header(self, path: Path) -> Header:
        """The header of an image; its size is that once the picture is upright. Raises UsageError."""
        if path not in self._headers:
            with naming(path):
                header = read_header(self.read(path))
                self.limits.check(header)
            width, height = header.upright_size
            self._headers[path] = replace(header, width=width, height=height)
        return self._headers[path]

    def encoding(self, path: Path) -> tuple[object, ...]:
        """How an image was encoded: its format, with a JPEG its quality (quantization tables). Raises UsageError."""
        if path not in self._encodings:
            kind = self.header(path).format
            with naming(path):
                content = self.read(path)
                self._encodings[path] = (kind, quantization(content) if kind == "JPEG" else b"")
        return self._encodings[path]

    def is_grey(self, path: Path, levels: tuple[int, int] | None = None) -> bool:
        """Whether a colour file holds a grey picture; `levels` of 16-bit images. Raises UsageError."""
        if path not in self._is_grey:
            header = self.header(path)
            reduction = max(
                (by for by in (1, 2, 4, 8) if min(header.width, header.height) >= by * COLOUR_CHECK_PIXELS), default=1
            )
            with naming(path):
                pixels = decode(self.read(path), 3, levels, self.limits, reduction)
            self._is_grey[path] = _is_grey(pixels)
        return self._is_grey[path]

    def values(self, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The values that a file holds, upright: uint8 or uint16 [height, width, 1 or 3]. Raises UsageError."""
        with naming(path):
            return decode_values(self.read(path), self.limits)

    def value_range(self, path: Path, region: tuple[int, int, int, int] | None = None) -> ValueRange:
        """The range of a 16-bit image's values inside a region (left, top, width, height). Raises UsageError."""
        if path not in self._ranges:
            header = self.header(path)
            left, top, width, height = region or (0, 0, header.width, header.height)
            self._ranges[path] = value_range(self.values(path)[top : top + height, left : left + width])
        return self._ranges[path]

    def frame(self, path: Path, spec: InputSpec) -> Pixels:
        """One image as the model takes it: uint8 [H, W, C]. Raises UsageError."""
        if spec == self._spec and path in self._frames:
            return self._frames[path]
        return _decode(path, self.read(path), spec, self.limits)

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


def load_images(
    samples: Sequence[Sample], spec: InputSpec, progress: Progress = quiet, limits: DecodingLimits = DEFAULT_LIMITS
) -> Pixels:
    """Decode and resize: uint8 [N, spec.height, spec.width, spec.channels]. Raises UsageError naming a bad file."""
    return ImageCache(kept_bytes=0, limits=limits).frames(samples, spec, progress)


def load_image(path: Path, spec: InputSpec, limits: DecodingLimits = DEFAULT_LIMITS) -> Pixels:
    """One image file as the model takes it: uint8 [H, W, C]. Raises UsageError."""
    return _decode(path, read_bytes(path), spec, limits)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, of an image in an array file, or of a frame of a recording. Raises UsageError."""
    if (frame := read_frame(path)) is not None:
        return frame
    if array_file(path.parent) is not None:
        return read_member(path)
    try:
        with naming(path):
            return read_image_file(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an ImageError into a UsageError that names the file."""
    try:
        yield
    except ImageError as error:
        raise UsageError(f"{path}: {error}") from None


def _decode(path: Path, content: bytes, spec: InputSpec, limits: DecodingLimits) -> Pixels:
    with naming(path):
        return imaging.load(content, spec, limits)


def _is_grey(pixels: Pixels) -> bool:
    """Whether the channels of uint8 [H, W, 3] are equal, but for what saving in a lossy format does to them."""
    red, green, blue = (pixels[:, :, i] for i in range(3))
    difference = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    above = int(np.count_nonzero(difference > GREY_TOLERANCE))
    return int(difference.max()) <= MAX_GREY_TOLERANCE and above <= MAX_SHARE_ABOVE_TOLERANCE * difference.size
