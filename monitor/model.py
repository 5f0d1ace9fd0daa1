"""A model file, opened and verified: uint8 frames in, scores and explanations out, through onnxruntime."""

import base64
import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from monitor.card import CARD_KEY, GOLDEN_KEY, Card, parse_card
from monitor.errors import ModelError, UsageError
from monitor.imaging import Pixels

INPUT = "frames"
OUTPUTS = ("score", "anomaly_map", "reconstruction", "latent")

# How far a score may be from the one torch gave, relative to the score. Between runtimes on one machine (at export)
# the difference is a few 1e-6; between processor generations and GPUs the order of summation costs up to a few 1e-5.
EXPORT_TOLERANCE = 1e-4
LOAD_TOLERANCE = 1e-3

# Frames in one call on a GPU: enough to fill it with frames of 256 x 256, few enough to wait for.
GPU_BATCH = 16

Providers = list[tuple[str, dict[str, str]]]
PROVIDERS: dict[str, Providers] = {
    "cpu": [("CPUExecutionProvider", {})],
    # TF32 rounds to ten bits of mantissa, which moves scores by more than the golden tolerance.
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), ("CPUExecutionProvider", {})],
    "tensorrt": [
        ("TensorrtExecutionProvider", {}),
        ("CUDAExecutionProvider", {"use_tf32": "0"}),
        ("CPUExecutionProvider", {}),
    ],
}


@dataclass(frozen=True)
class Golden:
    """Frames (uint8 [K, H, W, C]) and the scores (float32 [K]) that torch gave them."""

    frames: Pixels
    scores: NDArray[np.float32]

    def pack(self) -> str:
        """As text for the file's metadata: base64 of a compressed npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, frames=self.frames, scores=self.scores)
        return base64.b64encode(buffer.getvalue()).decode("ascii")

    @classmethod
    def unpack(cls, text: str) -> "Golden":
        """The reverse of `pack`. Raises ValueError."""
        try:
            arrays = np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False)
            return cls(arrays["frames"], arrays["scores"])
        except Exception as error:  # zipfile, zlib and numpy each raise their own on damaged data
            raise ValueError(str(error)) from None

    def worst_difference(self, scores: NDArray[np.float32]) -> float:
        """The largest relative difference of `scores` (float32 [K]) from the golden ones."""
        return float(np.max(np.abs(scores - self.scores) / np.maximum(np.abs(self.scores), 1e-6)))


@dataclass(frozen=True)
class Explanation:
    """Everything the model says about N frames."""

    score: NDArray[np.float32]  # [N]
    anomaly_map: NDArray[np.float32]  # [N, h, w], in the units of the score
    reconstruction: Pixels  # [N, H, W, C]
    latent: NDArray[np.float32]  # [N, D]


class Model:
    """A verified model, for use from one thread. `sha256` is the file's.

    `provider` is the execution provider really in use and `fell_back` whether another one was asked for: onnxruntime
    goes on with the CPU without a word where a GPU cannot be had.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, card: Card, sha256: str, wanted: str, threads: int
    ) -> None:
        self._session = session
        self._workers = ThreadPoolExecutor(threads, "inference")
        self._threads = threads
        self.card = card
        self.sha256 = sha256
        self.provider: str = session.get_providers()[0]
        self.fell_back = self.provider != wanted

    @classmethod
    def load(cls, path: Path, provider: str = "auto", threads: int = 1) -> "Model":
        """Open a model file and score its golden frames on this machine.

        `provider`: auto, cpu, cuda or tensorrt; `threads`: frames scored side by side on a CPU, 0 for one per core.
        Raises UsageError (no such file, no such provider) and ModelError (not ours, damaged, golden scores differ).
        """
        content = _read(path)
        return cls.from_bytes(content, str(path), provider, threads)

    @classmethod
    def from_bytes(cls, content: bytes, path: str, provider: str = "auto", threads: int = 1) -> "Model":
        """As `load`, from the content of a model file; `path` only names it in errors."""
        entries = _providers(provider)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # frames are spread over threads instead, see `_run`
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what fails is raised; the rest would write to a service's standard error
        try:
            session = onnxruntime.InferenceSession(content, options, providers=_available(entries))
        except Exception as error:  # onnxruntime's exceptions share no base class but Exception
            raise ModelError(f"{path}: not a readable ONNX file ({_first_line(error)})") from None
        metadata = session.get_modelmeta().custom_metadata_map
        if CARD_KEY not in metadata or GOLDEN_KEY not in metadata:
            raise ModelError(f"{path}: an ONNX file without a model card; give one made by andon-trainer fit")
        card = parse_card(metadata[CARD_KEY], path)
        model = cls(session, card, hashlib.sha256(content).hexdigest(), entries[0][0], threads or available_cores())
        model._check_signature(path)
        model._check_golden(metadata[GOLDEN_KEY], path)
        return model

    def score(self, frames: Pixels) -> NDArray[np.float32]:
        """Scores float32 [N] of N >= 1 frames uint8 [N, H, W, C]; higher is worse, 1 is an average good part."""
        return self._run(["score"], frames)[0]

    def explain(self, frames: Pixels) -> Explanation:
        """Scores, anomaly maps, reconstructions and latent vectors of frames uint8 [N, H, W, C]."""
        return Explanation(*self._run(list(OUTPUTS), frames))

    def _run(self, outputs: list[str], frames: Pixels) -> list[Any]:
        """Run the graph so that what is said about a frame does not depend on the frames beside it.

        On a CPU each frame is a call of its own on one thread: the same bits for any batch size and number of threads,
        and on two cores a third faster than one call that spreads its work over both (measured). On a GPU each call
        has `GPU_BATCH` frames, as another shape may choose another kernel, and choosing takes seconds.
        """
        if self.provider == "CPUExecutionProvider":
            size, parts = 1, [frames[i : i + 1] for i in range(len(frames))]
        else:
            size, parts = GPU_BATCH, _padded(frames, GPU_BATCH)
        run = partial(self._call, outputs)
        side_by_side = size == 1 and self._threads > 1 and len(parts) > 1
        results = list((self._workers.map if side_by_side else map)(run, parts))
        return [np.concatenate(arrays)[: len(frames)] for arrays in zip(*results, strict=True)]

    def _call(self, outputs: list[str], frames: Pixels) -> list[Any]:
        arrays: list[Any] = self._session.run(outputs, {INPUT: frames})
        return arrays

    def _check_signature(self, path: str) -> None:
        spec = self.card.input
        expected = ["tensor(uint8)", spec.height, spec.width, spec.channels]
        inputs = {node.name: [node.type, *node.shape[1:]] for node in self._session.get_inputs()}
        outputs = tuple(node.name for node in self._session.get_outputs())
        if inputs != {INPUT: expected} or set(outputs) != set(OUTPUTS):
            raise ModelError(f"{path}: its inputs {inputs} and outputs {outputs} do not fit its card")

    def _check_golden(self, text: str, path: str) -> None:
        try:
            golden = Golden.unpack(text)
            difference = golden.worst_difference(self.score(golden.frames))
        except Exception as error:
            raise ModelError(f"{path}: its golden frames are damaged ({_first_line(error)})") from None
        if not difference <= LOAD_TOLERANCE:  # also refuses NaN
            raise ModelError(
                f"{path}: scores of its golden frames differ by {difference:.1e} on this machine ({self.provider}), "
                f"at most {LOAD_TOLERANCE:.0e} is right; export the model again or choose another provider"
            )


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _providers(name: str) -> Providers:
    """The execution providers for a name, the one that is meant first."""
    if name == "auto":
        name = "cuda" if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else "cpu"
    if name not in PROVIDERS:
        raise UsageError(f"provider {name}: unknown; choose auto, {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def _available(providers: Providers) -> Providers:
    available = onnxruntime.get_available_providers()
    return [entry for entry in providers if entry[0] in available]


def _padded(frames: Pixels, size: int) -> list[Pixels]:
    """Cut frames [N, ...] into parts of exactly `size`, the last filled up with its last frame."""
    parts = [frames[i : i + size] for i in range(0, len(frames), size)]
    if missing := size - len(parts[-1]):
        parts[-1] = np.concatenate([parts[-1], np.repeat(parts[-1][-1:], missing, axis=0)])
    return parts


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such model file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
