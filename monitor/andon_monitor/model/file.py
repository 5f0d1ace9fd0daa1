"""A model file, opened and verified: uint8 frames in, anomaly scores and explanations out, through onnxruntime."""

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from andon_monitor.errors import ModelError, UsageError, first_line
from andon_monitor.model.card import CARD_KEY, GOLDEN_KEY, Card, parse_card
from andon_monitor.model.heatmap import heatmap
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.session import Session
from andon_monitor.model.subgraph import extract

INPUT = "frames"
SCORE = "score"
OUTPUTS = (SCORE, "anomaly_map", "reconstruction", "latent")
KINDS = "kinds"  # optional output: probabilities float32 [N, K] of the kinds of defects on the card

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
    def unpack(cls, text: str) -> "Golden":
        """The reverse of `pack`. Raises ValueError."""
        try:
            arrays = np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False)
            return cls(arrays["frames"], arrays["scores"])
        except Exception as error:  # zipfile, zlib and numpy raise different ones for damaged data
            raise ValueError(str(error)) from None

    def worst_difference(self, scores: NDArray[np.float32]) -> float:
        """The largest relative difference of `scores` (float32 [K]) from the golden ones."""
        return worst_difference(scores, self.scores)


@dataclass(frozen=True)
class Explanation:
    """All outputs of the model for N frames."""

    score: NDArray[np.float32]  # [N]
    anomaly_map: NDArray[np.float32]  # [N, h, w], in the units of the score
    reconstruction: Pixels  # [N, H, W, C]
    latent: NDArray[np.float32]  # [N, D]
    frames: Pixels  # [N, H, W, C], what was explained
    threshold: float  # the card's, which heatmaps are scaled by

    @property
    def heatmap(self) -> Pixels:
        """The anomaly maps over their frames, uint8 [N, H, W, 3]: full colour where the threshold is crossed."""
        pairs = zip(self.frames, self.anomaly_map, strict=True)
        return np.stack([heatmap(frame, cells, self.threshold) for frame, cells in pairs])


class Model:
    """A verified model, which several threads may use.

    `content` is the file and `sha256` its digest; `provider`, `fell_back` and `batched` are the `Session`'s.
    """

    golden_frames: Pixels  # uint8 [K, H, W, C], the good ones first

    def __init__(self, session: Session, card: Card, content: bytes, path: str, kinds: Session | None) -> None:
        self._session = session
        self._kinds = kinds
        self.card = card
        self.content = content
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.provider = session.provider
        self.fell_back = session.fell_back
        self.batched = session.batched

    @classmethod
    def load(cls, path: Path, provider: str = "auto", threads: int = 1) -> "Model":
        """Open a model file and run its self-test: score its golden frames on this machine.

        `provider`: auto, cpu, cuda or tensorrt; `threads`: frames scored in parallel on a CPU, 0: one per core.
        Raises UsageError (no such file or provider) and ModelError (not a model file, damaged, self-test failed).
        """
        return cls.from_bytes(read_model(path), str(path), provider, threads)

    @classmethod
    def from_bytes(cls, content: bytes, path: str, provider: str = "auto", threads: int = 1) -> "Model":
        """As `load`, from the content of a model file; `path` only names it in errors."""
        session = Session(content, path, provider, threads)
        kinds = None
        if KINDS in session.outputs:
            # A graph of its own: only defects need this output, and nearly all parts are good.
            kinds = Session(extract(content, INPUT, KINDS), path, provider, threads)
            session = Session(extract(content, INPUT, *OUTPUTS), path, provider, threads)
        metadata = session.metadata
        if CARD_KEY not in metadata or GOLDEN_KEY not in metadata:
            raise ModelError(f"{path}: an ONNX file without a model card; give a file from andon-trainer fit")
        model = cls(session, parse_card(metadata[CARD_KEY], path), content, path, kinds)
        model._check_signature(path)
        model.golden_frames = model._check_golden(metadata[GOLDEN_KEY], path)
        return model

    def score(self, frames: Pixels) -> NDArray[np.float32]:
        """Scores float32 [N] of N >= 1 frames uint8 [N, H, W, C]; higher is worse, 1 is an average good part."""
        return self._session.run(["score"], frames)[0]

    def explain(self, frames: Pixels) -> Explanation:
        """Scores, anomaly maps, reconstructions and latent vectors of frames uint8 [N, H, W, C]."""
        score, anomaly_map, reconstruction, latent = self._session.run(list(OUTPUTS), frames)
        return Explanation(score, anomaly_map, reconstruction, latent, frames, self.card.threshold)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of defects that the model tells apart; () for most models."""
        return () if self.card.kinds is None else self.card.kinds.names

    def classify(self, frames: Pixels) -> NDArray[np.float32]:
        """Probabilities float32 [N, K] of `kinds` for defects uint8 [N, H, W, C]; K > 0."""
        assert self._kinds is not None
        return self._kinds.run([KINDS], frames)[0]

    def _check_signature(self, path: str) -> None:
        spec = self.card.input
        expected = {INPUT: ["tensor(uint8)", spec.height, spec.width, spec.channels]}
        inputs, outputs = self._session.inputs, self._session.outputs
        if inputs != expected or set(outputs) != set(OUTPUTS) or bool(self.kinds) != (self._kinds is not None):
            raise ModelError(f"{path}: its inputs {inputs} and outputs {outputs} do not fit its card")

    def _check_golden(self, text: str, path: str) -> Pixels:
        try:
            golden = Golden.unpack(text)
            # One by one, in this thread: during a hot swap another model is still at work.
            scores = np.concatenate([self.score(frame[None]) for frame in golden.frames])
            difference = golden.worst_difference(scores)
        except Exception as error:
            raise ModelError(f"{path}: its golden frames are damaged ({first_line(error)})") from None
        if not difference <= LOAD_TOLERANCE:  # also refuses NaN
            raise ModelError(
                f"{path}: self-test failed: scores of its golden frames differ by {difference:.1e} on this machine "
                f"({self.provider}), at most {LOAD_TOLERANCE:.0e} is right; export the model again or choose another "
                "provider"
            )
        return golden.frames


def read_model(path: Path) -> bytes:
    """The content of a model file. Raises UsageError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such model file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
