"""Golden frames: what a model file is tested with wherever it is loaded."""

import base64
import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from andon_monitor.model.card import MAX_GOLDEN_FRAMES, GoldenOutcome
from andon_monitor.model.imaging import Pixels

MAX_GOLDEN_BYTES = 128 * 2**20  # of all frames: ten of the largest input in colour that can be asked for
MAX_NPY_HEADER = 1024  # bytes; numpy writes 128
# The first golden frames are good parts, the others corrupted ones, in files whose card does not record outcomes.
GOLDEN_GOOD = 2

# Largest allowed difference from torch's scores, see `worst_difference`. Between runtimes on one machine (at export) it
# is a few 1e-6; between processor generations and GPUs the order of summation makes it up to a few 1e-5.
EXPORT_TOLERANCE = 1e-4
LOAD_TOLERANCE = 1e-3


def worst_difference(scores: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The largest difference of scores float32 [N], relative to the reference score or to their median if larger.

    Zero has no meaning on the scale of scores: a score near it need not be as exact relative to itself.
    """
    sizes = np.abs(reference)
    return float(np.max(np.abs(scores - reference) / np.maximum(sizes, max(float(np.median(sizes)), 1e-6))))


def judge(scores: NDArray[np.float32], threshold: float) -> tuple[GoldenOutcome, ...]:
    """What a threshold makes of scores float32 [K]."""
    return tuple("defect" if score > threshold else "good" for score in scores.tolist())


@dataclass(frozen=True)
class Golden:
    """Golden frames (uint8 [K, H, W, C]) and their scores in torch (float32 [K]), for the self-test of a model file."""

    frames: Pixels
    scores: NDArray[np.float32]

    def pack(self) -> str:
        """As text for the file's metadata: base64 of a compressed npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, frames=self.frames, scores=self.scores)
        return base64.b64encode(buffer.getvalue()).decode("ascii")

    @classmethod
    def unpack(cls, text: str, shape: tuple[int, int, int]) -> "Golden":
        """The reverse of `pack`, for frames of `shape` [H, W, C].

        Sizes are checked before anything is decompressed. Raises ValueError.
        """
        most = min(MAX_GOLDEN_FRAMES * math.prod(shape), MAX_GOLDEN_BYTES)
        if len(text) > 2 * most + 10_000:  # base64 adds a third
            raise ValueError(f"{len(text)} characters for frames of {most} bytes at most")
        try:
            with zipfile.ZipFile(io.BytesIO(base64.b64decode(text, validate=True))) as archive:
                if sorted(archive.namelist()) != ["frames.npy", "scores.npy"]:
                    raise ValueError("its arrays are not frames and scores")
                scores = _read(archive, "scores.npy", np.float32, 4 * MAX_GOLDEN_FRAMES)
                frames = _read(archive, "frames.npy", np.uint8, most)
        except Exception as error:  # zipfile, zlib and numpy raise different ones for damaged data
            raise ValueError(str(error)) from None
        count = len(frames) if frames.ndim else 0
        if frames.shape != (count, *shape) or scores.shape != (count,) or count == 0:
            raise ValueError(f"frames {frames.shape} and scores {scores.shape} for frames of {shape}")
        if not np.isfinite(scores).all():
            raise ValueError("a score is not finite")
        return cls(frames, scores)

    def worst_difference(self, scores: NDArray[np.float32]) -> float:
        """The largest relative difference of `scores` (float32 [K]) from the golden ones."""
        return worst_difference(scores, self.scores)


def wrong_outcome(
    scores: NDArray[np.float32], threshold: float, recorded: Sequence[GoldenOutcome] | None
) -> str | None:
    """What is wrong with the outcomes of golden frames with `scores` float32 [K], None where nothing is.

    `recorded` are those on the card. Without them, one of the first two frames must be good. A score as near to the
    threshold as processors differ may be on either side.
    """
    outcomes = judge(scores, threshold)
    sure = [abs(score - threshold) > LOAD_TOLERANCE * max(abs(score), abs(threshold)) for score in scores.tolist()]
    if recorded is None:
        if all(sure[:GOLDEN_GOOD]) and set(outcomes[:GOLDEN_GOOD]) == {"defect"}:
            return "its golden good parts are defects by its threshold"
        return None
    if len(recorded) != len(outcomes):
        return f"its card records {len(recorded)} outcomes of {len(outcomes)} golden frames"
    for i, (outcome, right) in enumerate(zip(outcomes, recorded, strict=True)):
        if sure[i] and outcome != right:
            return f"golden frame {i + 1} is {outcome} by its threshold, its card says {right}"
    return None


def _read(archive: zipfile.ZipFile, name: str, dtype: DTypeLike, most: int) -> NDArray[Any]:
    """One array of at most `most` bytes. Raises ValueError and what zipfile and numpy raise."""
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in another way than numpy's")
    if member.file_size > most + MAX_NPY_HEADER:
        raise ValueError(f"{name} has {member.file_size} bytes, at most {most} are right")
    with archive.open(member) as opened:
        data = opened.read()  # never more than its declared size, which was checked
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError(f"{name} is not an npy array of version 1.0")
    shape, fortran, found = np.lib.format.read_array_header_1_0(stream)
    if found != dtype or fortran:
        raise ValueError(f"{name} is an array of {found}")
    if math.prod(shape) * found.itemsize != len(data) - stream.tell():
        raise ValueError(f"{name} does not have the size of {shape}")
    return np.frombuffer(data, found, offset=stream.tell()).reshape(shape)
