"""Archives of images as latent vectors: from a few dozen bytes the model's decoder restores each picture.

The numbers of a latent vector are rounded to steps, and zstandard compresses a few hundred vectors at once. The steps
are chosen so that rounding any of the numbers changes a picture equally little: for a given number of bits that is the
least change altogether (Gersho & Gray, "Vector Quantization and Signal Compression", 1992, section 8.3).

    MAGIC, length and JSON of the header
    for each chunk: its length, its crc32, zstandard of (length and JSON of the names, byte planes of the numbers)
    a length of zero, the sha256 of everything before it
"""

import base64
import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import zstandard
from numpy.typing import NDArray

from andon_monitor.common.files import PART
from andon_monitor.errors import AndonError, ModelError, UsageError, first_line
from andon_monitor.formats.decompression import decompress
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.imaging import Pixels

MAGIC = b"ANDON-LATENTS-1\n"
CHUNK_IMAGES = 256  # compressed at once: enough for zstandard to learn their statistics, few enough for the memory
ZSTANDARD_LEVEL = 19  # slower levels save less than one per cent here
MAX_CHUNK_BYTES = 64 * 2**20  # after decompression: a damaged length must not fill the memory
MAX_NAMES_BYTES = 2**21  # of a chunk's names: 8 kB for each
MAX_NAME = 1000  # characters in a header
# How many grey levels a number must change the picture by for its step to be measured.
MIN_CHANGE = 2.0
# The decoder does not use a number that changes no picture at this distance.
MAX_DISTANCE = 1e4
FIRST_DISTANCE, DISTANCE_FACTOR = 0.25, 4


class ArchiveError(AndonError):
    """An archive that is damaged or incomplete."""


@dataclass(frozen=True)
class Header:
    """What is needed to read an archive: the model, by the sha256 of its weights, and the steps of its D numbers."""

    model: str
    weights_sha256: str
    grain: float
    steps: str  # base64 of little-endian float32

    @classmethod
    def of(cls, part: Autoencoder, grain: float) -> "Header":
        """The header for a model; `grain`: the grey levels by which one step of any number changes a picture."""
        steps = (grain * sensitivity(part)).astype("<f4")
        return cls(part.card.name, part.card.weights_sha256, grain, base64.b64encode(steps.tobytes()).decode())

    def step_sizes(self) -> NDArray[np.float32]:
        """The steps, float32 [D]."""
        return np.frombuffer(base64.b64decode(self.steps), "<f4").astype(np.float32)

    def check(self, part: Autoencoder, path: Path) -> None:
        """Raise ModelError where `part` is not the model that the archive at `path` was made with."""
        if part.card.weights_sha256 != self.weights_sha256:
            raise ModelError(
                f"{path}: made with model {self.model}, weights {self.weights_sha256[:12]}; this is "
                f"{part.card.name}, weights {part.card.weights_sha256[:12]}"
            )


def sensitivity(part: Autoencoder) -> NDArray[np.float64]:
    """How far each number of a latent vector must change to change the picture by one grey level: float64 [D].

    The change of a picture is the root mean square over its pixels, around the latent vector of a typical good part.
    """
    size = part.latent_size
    base = part.encode(part.model.golden_frames[:1])
    before = part.decode(base)[0].astype(np.float64)
    distance = np.full(size, FIRST_DISTANCE)
    change = np.zeros(size)
    waiting = np.arange(size)
    while len(waiting):
        shifted = np.repeat(base, len(waiting), axis=0)
        shifted[np.arange(len(waiting)), waiting] += distance[waiting]
        after = part.decode(shifted).astype(np.float64)
        change[waiting] = np.sqrt(np.square(after - before).mean(axis=(1, 2, 3)))
        waiting = waiting[(change[waiting] < MIN_CHANGE) & (distance[waiting] < MAX_DISTANCE)]
        distance[waiting] *= DISTANCE_FACTOR
    return distance / np.maximum(change, MIN_CHANGE / 4)


class ArchiveWriter:
    """Writes an archive to an open file; it is complete after `finish`."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.count = 0
        self.size = 0
        self._file = file
        self._digest = hashlib.sha256()
        self._steps = header.step_sizes()
        self._names: list[str] = []
        self._latents: list[NDArray[np.float32]] = []
        fields = json.dumps(asdict(header)).encode()
        self._put(MAGIC + struct.pack("<I", len(fields)) + fields)

    def add(self, name: str, latent: NDArray[np.float32]) -> None:
        """Add an image's latent vector, float32 [D]."""
        self._names.append(name)
        self._latents.append(latent)
        self.count += 1
        if len(self._names) == CHUNK_IMAGES:
            self.flush()

    def flush(self) -> None:
        """Write the images that wait for a full chunk."""
        if self._names:
            names = json.dumps(self._names, ensure_ascii=False).encode()
            rounded = np.rint(np.stack(self._latents) / self._steps).astype(np.int32)
            content = struct.pack("<I", len(names)) + names + _planes(rounded)
            coded = zstandard.ZstdCompressor(level=ZSTANDARD_LEVEL).compress(content)
            self._put(struct.pack("<II", len(coded), zlib.crc32(coded)) + coded)
            self._file.flush()
            self._names, self._latents = [], []

    def finish(self) -> None:
        """Write the end, without which an archive counts as incomplete."""
        self.flush()
        self._put(struct.pack("<I", 0))
        self._file.write(self._digest.digest())
        self.size += self._digest.digest_size

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)


class Archive:
    """An archive to read. Raises UsageError (no such file, no archive) and ArchiveError (damaged, incomplete)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
        if not self._content.startswith(MAGIC):
            raise UsageError(f"{path}: not an archive of latent vectors; give one made by andon-trainer compress")
        whole, digest = self._content[:-32], self._content[-32:]
        # A crash leaves a history without its end: then the checksum of each chunk is checked instead.
        self.unfinished = path.suffix == PART
        if not self.unfinished and hashlib.sha256(whole).digest() != digest:
            raise ArchiveError(f"{path}: damaged or cut short: its checksum does not match; nothing was unpacked")
        self._file = io.BytesIO(self._content if self.unfinished else whole)
        self._file.seek(len(MAGIC))
        self.header = self._read_header()
        self._start = self._file.tell()

    def __iter__(self) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Names [N] and latent vectors float32 [N, D], chunk by chunk; of an unfinished archive the complete chunks."""
        try:
            yield from self._chunks()
        except ArchiveError:
            if not self.unfinished:
                raise

    def _chunks(self) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        self._file.seek(self._start)
        steps = self.header.step_sizes()
        while length := self._number():
            crc = self._number()
            coded = self._take(length)
            if zlib.crc32(coded) != crc:
                raise ArchiveError(f"{self.path}: damaged: the checksum of a chunk does not match")
            try:
                names, numbers = _parse_chunk(decompress("zstd", coded, MAX_CHUNK_BYTES), len(steps))
            except (ValueError, struct.error, RecursionError) as error:
                raise ArchiveError(f"{self.path}: damaged: a chunk cannot be read ({first_line(error)})") from None
            yield names, (numbers * steps).astype(np.float32)

    def _read_header(self) -> Header:
        try:
            fields = json.loads(self._take(self._number()))
            header = Header(**fields)
            steps = header.step_sizes()
        except (ValueError, TypeError, RecursionError) as error:
            raise ArchiveError(f"{self.path}: damaged: its header cannot be read ({first_line(error)})") from None
        texts = (header.model, header.weights_sha256)
        if not all(isinstance(text, str) and len(text) <= MAX_NAME for text in texts):
            raise ArchiveError(f"{self.path}: damaged: its header does not name a model")
        if not len(steps) or not (np.isfinite(steps) & (steps > 0)).all():
            raise ArchiveError(f"{self.path}: damaged: its steps are not positive numbers")
        return header

    def _number(self) -> int:
        number: int = struct.unpack("<I", self._take(4))[0]
        return number

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise ArchiveError(f"{self.path}: damaged: {size} bytes expected, {len(data)} found")
        return data


def compress(part: Autoencoder, images: Iterable[tuple[str, Pixels]], file: BinaryIO, grain: float) -> ArchiveWriter:
    """Write frames uint8 [H, W, C], each under a name, to an open file. Returns the finished writer, for its counts."""
    writer = ArchiveWriter(file, Header.of(part, grain))
    waiting = iter(images)
    while chunk := list(islice(waiting, CHUNK_IMAGES)):
        latents = part.encode(np.stack([frame for _, frame in chunk]))
        for (name, _), latent in zip(chunk, latents, strict=True):
            writer.add(name, latent)
    writer.finish()
    return writer


def picture_paths(names: Sequence[str], taken: set[str], path: Path) -> list[PurePosixPath]:
    """Paths for the pictures of an archive, relative to a folder; repeated names are numbered.

    They are added to `taken`. Raises ArchiveError for a name that leads out of the folder.
    """
    places = []
    for name in names:
        place = PurePosixPath(name if name.endswith(".png") else f"{name}.png")
        if place.is_absolute() or ".." in place.parts or "\0" in name:
            raise ArchiveError(f"{path}: damaged: the name {name!r} leads out of the folder")
        again = 2
        while str(place) in taken:
            place = place.with_name(f"{PurePosixPath(name).name}-{again}.png")
            again += 1
        taken.add(str(place))
        places.append(place)
    return places


def _parse_chunk(content: bytes, size: int) -> tuple[list[str], NDArray[np.int32]]:
    """Names [N] and numbers int32 [N, size] of a chunk. Raises ValueError, struct.error."""
    (length,) = struct.unpack_from("<I", content)
    if length > MAX_NAMES_BYTES:
        raise ValueError(f"names of {length} bytes")
    names = json.loads(content[4 : 4 + length])
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError("its names are not a list of texts")
    planes = content[4 + length :]
    if len(planes) != 4 * size * len(names):
        raise ValueError(f"{len(planes)} bytes of numbers, {len(names)} images have {4 * size * len(names)}")
    return names, _from_planes(planes, len(names))


def _planes(numbers: NDArray[np.int32]) -> bytes:
    """Integers [N, D] column by column, low bytes first: similar bytes are neighbours. The lowest bit is the sign."""
    folded = ((numbers << 1) ^ (numbers >> 31)).astype("<u4")
    return np.ascontiguousarray(folded.T).view(np.uint8).reshape(-1, 4).T.tobytes()


def _from_planes(data: bytes, count: int) -> NDArray[np.int32]:
    """The reverse of `_planes`."""
    folded = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(4, -1).T).view("<u4").reshape(-1, count).T
    numbers: NDArray[np.int32] = (folded >> 1).astype(np.int32) ^ -(folded & 1).astype(np.int32)
    return numbers
