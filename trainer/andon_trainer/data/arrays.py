"""Small image sets as one file: NumPy's .npy and .npz, and IDX, the format of MNIST. Such a file is read as a folder.

    digits.npy                      the images
    digits.npz                      `images` or `x`, with `labels` or `y`; or `x_train`, `y_train`, `x_test`, `y_test`
    digits.npz/x_test               one array of several
    train-images-idx3-ubyte[.gz]    the labels come from train-labels-idx1-ubyte[.gz] next to it

Its images have names like digits.npz/images/17.png, and their bytes are those of a PNG file, so that everything that
reads image files reads them, too. Images are [N, h, w] or [N, h, w, C]; uint8, uint16, or floats in 0..1. Floats that
are multiples of 1 / 255 are images of 8 bits, others are images of 16.
"""

import math
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.formats.decompression import decompress
from numpy.typing import NDArray

SUFFIXES = (".npy", ".npz", ".gz", "-ubyte")
LABELS = {"images": "labels", "x": "y", "x_train": "y_train", "x_test": "y_test"}
FLOAT_TOLERANCE = 1e-3  # grey levels by which a float differs from the multiple of 1 / 255 that it was computed from
MAX_ARRAY_BYTES = 2**31  # of one array, decompressed: a million pictures of 45 x 45 pixels
IDX_UINT8 = 8  # the type code of unsigned bytes, the only one for images


@dataclass(frozen=True)
class ImageArray:
    """Images uint8 or uint16 [N, h, w, C] in RGB order, their path as a folder, and their labels if there are any."""

    place: Path
    images: NDArray[np.uint8] | NDArray[np.uint16]
    labels: tuple[str, ...] | None

    def paths(self) -> list[Path]:
        """A path for each image; sorted paths are in the order of the images."""
        digits = len(str(len(self.images) - 1))
        return [self.place / f"{i:0{digits}d}.png" for i in range(len(self.images))]


def array_file(path: Path) -> Path | None:
    """The array file that `path` is, or lies in; None where it is an ordinary path."""
    return next((file for file in (path, *path.parents) if file.name.endswith(SUFFIXES) and file.is_file()), None)


def open_array(path: Path) -> ImageArray:
    """The images of an array file, or of one of its arrays, `file.npz/name`. Raises UsageError."""
    file = array_file(path)
    if file is None:
        raise UsageError(f"{path}: no such file of images (npy, npz, IDX)")
    stat = file.stat()
    return _open(file, path.relative_to(file).parts[:1], stat.st_mtime_ns)


def read_member(path: Path) -> bytes:
    """The bytes of `file.npz/name/17.png` as a PNG file. Raises UsageError."""
    array = open_array(path.parent)
    try:
        image = array.images[int(path.stem)]
    except (ValueError, IndexError):
        raise UsageError(f"{path}: there are {len(array.images)} images in {array.place}") from None
    ordered = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, png = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return png.tobytes()


@lru_cache(maxsize=4)  # each image of a file asks for it; a changed file is read again
def _open(file: Path, name: tuple[str, ...], changed: int) -> ImageArray:
    try:
        arrays = _read(file)
    except Exception as error:  # zipfile, zlib, gzip and numpy each raise their own on damaged data
        raise UsageError(f"{file}: damaged array file ({error})") from None
    chosen = name[0] if name else next((key for key in LABELS if key in arrays), None)
    if chosen is None and len(arrays) == 1:
        (chosen,) = arrays
    if chosen is None or chosen not in arrays:
        wanted = f"no array {chosen!r} in it" if chosen else f"several arrays; give one as {file}/NAME"
        raise UsageError(f"{file}: {wanted}; it has {', '.join(sorted(arrays))}")
    images = _as_images(arrays[chosen], f"{file}: {chosen}")
    labels = arrays.get(LABELS.get(chosen, ""))
    if labels is not None and labels.shape != (len(images),):
        raise UsageError(f"{file}: {LABELS[chosen]} {labels.shape}, expected ({len(images)},), one for each image")
    words = None if labels is None else tuple(str(label) for label in labels.tolist())
    return ImageArray(file / chosen, images, words)


def _read(file: Path) -> dict[str, NDArray[Any]]:
    if file.suffix == ".npy":
        with file.open("rb") as stream:
            _check_size(stream, file.stat().st_size)
        return {"images": np.load(file, allow_pickle=False)}
    if file.suffix == ".npz":
        with zipfile.ZipFile(file) as members:
            for member in members.infolist():
                with members.open(member) as stream:
                    _check_size(stream, member.file_size)
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    labels = file.with_name(file.name.replace("images-idx3", "labels-idx1"))
    labelled = {"labels": _read_idx(labels)} if labels != file and labels.is_file() else {}
    return {"images": _read_idx(file)} | labelled


def _check_size(stream: IO[bytes], size: int) -> None:
    """Raise ValueError where the head of an .npy file claims more than the file holds, or than is read at once."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    claimed = math.prod(shape) * kind.itemsize
    if claimed > min(size, MAX_ARRAY_BYTES):
        raise ValueError(f"its head claims {claimed} bytes, the file holds {size}, at most {MAX_ARRAY_BYTES} are read")


def _read_idx(file: Path) -> NDArray[np.uint8]:
    """An IDX file: two zero bytes, the type, the number of axes, their lengths as big-endian uint32, the values."""
    data = file.read_bytes()
    if file.suffix == ".gz":
        data = decompress("gzip", data, MAX_ARRAY_BYTES)
    if data[:2] != b"\0\0" or len(data) < 4 or data[2] != IDX_UINT8:
        raise ValueError("not an IDX file of bytes")
    axes = data[3]
    shape = np.frombuffer(data, ">u4", axes, 4)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if len(values) != shape.prod(dtype=np.int64):
        raise ValueError(f"{len(values)} values, its header says {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def _as_images(array: NDArray[Any], what: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    if array.ndim == 3:
        array = array[:, :, :, None]
    if array.ndim != 4 or array.shape[3] not in (1, 3) or not len(array):
        raise UsageError(f"{what}: shape {array.shape}, expected (N, height, width), (N, height, width, 1) or (…, 3)")
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):
        spread = f"{array.min():g} to {array.max():g}" if array.dtype.kind in "iuf" else "no numbers"
        raise UsageError(f"{what}: {array.dtype} from {spread}, expected uint8, uint16, or floats from 0 to 1")
    levels = array.astype(np.float64) * 255
    if np.abs(levels - levels.round()).max() <= max(FLOAT_TOLERANCE, 255 * np.finfo(array.dtype).eps):
        return levels.round().astype(np.uint8)
    return (array.astype(np.float64) * 65535).round().astype(np.uint16)
