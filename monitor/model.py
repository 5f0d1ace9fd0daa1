"""A model file, opened and verified: uint8 frames in, scores and explanations out, through onnxruntime."""

import base64
import hashlib
import io
from dataclasses import dataclass
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

PROVIDERS = {
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
    """A verified model. `sha256` is the file's; `provider` is the execution provider really in use."""

    def __init__(self, session: onnxruntime.InferenceSession, card: Card, sha256: str) -> None:
        self._session = session
        self.card = card
        self.sha256 = sha256
        self.provider: str = session.get_providers()[0]

    @classmethod
    def load(cls, path: Path, provider: str = "auto", threads: int = 1) -> "Model":
        """Open a model file and score its golden frames on this machine.

        `provider`: auto, cpu, cuda or tensorrt; `threads`: threads of one inference call, 0 for all cores.
        Raises UsageError (no such file, no such provider) and ModelError (not ours, damaged, golden scores differ).
        """
        content = _read(path)
        return cls.from_bytes(content, str(path), provider, threads)

    @classmethod
    def from_bytes(cls, content: bytes, path: str, provider: str = "auto", threads: int = 1) -> "Model":
        """As `load`, from the content of a model file; `path` only names it in errors."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what fails is raised; the rest would write to a service's standard error
        try:
            session = onnxruntime.InferenceSession(content, options, providers=_providers(provider))
        except UsageError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no base class but Exception
            raise ModelError(f"{path}: not a readable ONNX file ({_first_line(error)})") from None
        metadata = session.get_modelmeta().custom_metadata_map
        if CARD_KEY not in metadata or GOLDEN_KEY not in metadata:
            raise ModelError(f"{path}: an ONNX file without a model card; give one made by andon-trainer fit")
        card = parse_card(metadata[CARD_KEY], path)
        model = cls(session, card, hashlib.sha256(content).hexdigest())
        model._check_signature(path)
        model._check_golden(metadata[GOLDEN_KEY], path)
        return model

    def score(self, frames: Pixels) -> NDArray[np.float32]:
        """Scores float32 [N] of frames uint8 [N, H, W, C]; higher is worse, 1 is an average good part."""
        scores: NDArray[np.float32] = self._session.run(["score"], {INPUT: frames})[0]
        return scores

    def explain(self, frames: Pixels) -> Explanation:
        """Scores, anomaly maps, reconstructions and latent vectors of frames uint8 [N, H, W, C]."""
        outputs: Any = self._session.run(list(OUTPUTS), {INPUT: frames})
        return Explanation(*outputs)

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


def _providers(name: str) -> list[tuple[str, dict[str, str]]]:
    available = onnxruntime.get_available_providers()
    if name == "auto":
        name = "cuda" if "CUDAExecutionProvider" in available else "cpu"
    if name not in PROVIDERS:
        raise UsageError(f"provider {name}: unknown; choose auto, {', '.join(PROVIDERS)}")
    return [entry for entry in PROVIDERS[name] if entry[0] in available]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such model file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
