"""A model file, opened and verified: uint8 frames in, anomaly scores and explanations out, through onnxruntime."""

import hashlib
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from andon_monitor.common.system import BINARY, NONBLOCKING
from andon_monitor.common.text import shown
from andon_monitor.errors import ModelError, UsageError, first_line
from andon_monitor.model import imaging
from andon_monitor.model.card import CARD_KEY, GOLDEN_KEY, Card, GoldenOutcome, parse_card
from andon_monitor.model.golden import GOLDEN_GOOD, LOAD_TOLERANCE, Golden, judge, wrong_outcome
from andon_monitor.model.graph_check import MAX_FILE_BYTES, check_graph
from andon_monitor.model.heatmap import heatmap
from andon_monitor.model.imaging import Pixels, input_mask
from andon_monitor.model.session import Session
from andon_monitor.model.subgraph import extract

INPUT = "frames"
SCORE = "score"
ANOMALY_MAP = "anomaly_map"
RECONSTRUCTION = "reconstruction"
LATENT = "latent"
OUTPUTS = (SCORE, ANOMALY_MAP, RECONSTRUCTION, LATENT)
KINDS = "kinds"  # optional output: probabilities float32 [N, K] of the kinds of defects on the card
# Graphs that are cut out of the file's, by what they are for: their input and their outputs. Nearly all parts are good,
# and of those only the score is wanted; onnxruntime computes every output of a graph, wanted or not.
PARTS = {
    SCORE: (INPUT, SCORE, ANOMALY_MAP, LATENT),
    RECONSTRUCTION: (LATENT, RECONSTRUCTION),
    KINDS: (INPUT, KINDS),
}

NO_CARD = "an ONNX file without a model card; give a file from andon-trainer fit"
# Numbers of a latent vector: a usual one has 64 to 112.
MAX_LATENT = 1_000_000


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
    golden_outcomes: tuple[GoldenOutcome, ...]  # of these frames, on this machine

    def __init__(self, sessions: Mapping[str, Session], card: Card, content: bytes, path: str) -> None:
        """`sessions`: one for each of `PARTS`, or one of the whole graph for SCORE; KINDS where the model tells any."""
        session = self._session = sessions[SCORE]
        self._decoder = sessions.get(RECONSTRUCTION, session)
        self._kinds = sessions.get(KINDS)
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
        graph = check_graph(content, path)
        metadata = graph.metadata
        if CARD_KEY not in metadata or GOLDEN_KEY not in metadata:
            raise ModelError(f"{path}: {NO_CARD}")
        card = parse_card(metadata[CARD_KEY], path)
        try:
            golden = Golden.unpack(metadata[GOLDEN_KEY], (card.input.height, card.input.width, card.input.channels))
        except ValueError as error:
            raise ModelError(f"{path}: its golden frames are damaged ({shown(first_line(error))})") from None
        sessions = {name: Session(part, path, provider, threads) for name, part in cut(content, graph.outputs).items()}
        if KINDS in graph.outputs:
            sessions.setdefault(KINDS, sessions[SCORE])  # of a graph that cannot be cut
        model = cls(sessions, card, content, path)
        model._check_signature(path, graph.outputs)
        model._check_golden(golden, path)
        return model

    def score(self, frames: Pixels) -> NDArray[np.float32]:
        """Scores float32 [N] of N >= 1 frames uint8 [N, H, W, C]; higher is worse, 1 is an average good part."""
        return self._session.run([SCORE], frames)[0]

    def locate(self, frames: Pixels) -> NDArray[np.float32]:
        """Anomaly maps float32 [N, h, w] of frames uint8 [N, H, W, C], in the units of the score."""
        return self._session.run([ANOMALY_MAP], frames)[0]

    def explain(self, frames: Pixels) -> Explanation:
        """Scores, anomaly maps, reconstructions and latent vectors of frames uint8 [N, H, W, C]."""
        score, anomaly_map, latent = self._session.run([SCORE, ANOMALY_MAP, LATENT], frames)
        rows = frames if self._decoder is self._session else latent
        reconstruction = self._decoder.run([RECONSTRUCTION], rows)[0]
        return Explanation(score, anomaly_map, reconstruction, latent, frames, self.card.threshold)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of defects that the model tells apart; () for most models."""
        return () if self.card.kinds is None else self.card.kinds.names

    def classify(self, frames: Pixels) -> NDArray[np.float32]:
        """Probabilities float32 [N, K] of `kinds` for defects uint8 [N, H, W, C]; K > 0."""
        assert self._kinds is not None
        return self._kinds.run([KINDS], frames)[0]

    def _check_signature(self, path: str, outputs: Collection[str]) -> None:
        spec = self.card.input
        expected = {INPUT: ["tensor(uint8)", spec.height, spec.width, spec.channels]}
        inputs, allowed = self._session.inputs, {*OUTPUTS, KINDS} if self.kinds else set(OUTPUTS)
        if inputs != expected or set(outputs) != allowed or bool(self.kinds) != (self._kinds is not None):
            found = shown(f"inputs {inputs} and outputs {outputs}", 300)
            raise ModelError(f"{path}: its {found} do not fit its card")

    def _check_golden(self, golden: Golden, path: str) -> None:
        try:
            # One by one, in this thread: during a hot swap another model is still at work.
            scores = np.stack([self.score(frame[None]) for frame in golden.frames])[:, 0]
            difference = golden.worst_difference(scores)
            fault = self._fault(golden.frames[:1])
        except Exception as error:
            raise ModelError(f"{path}: self-test failed: {first_line(error)}") from None
        if not difference <= LOAD_TOLERANCE:  # also refuses NaN
            raise ModelError(
                f"{path}: self-test failed: scores of its golden frames differ by {difference:.1e} on this machine "
                f"({self.provider}), at most {LOAD_TOLERANCE:.0e} is right; export the model again or choose another "
                "provider"
            )
        fault = fault or wrong_outcome(scores, self.card.threshold, self.card.golden_outcomes)
        self.golden_frames, self.golden_outcomes = golden.frames, judge(scores, self.card.threshold)
        fault = fault or self._unlike_its_reference()
        if fault is not None:
            raise ModelError(f"{path}: self-test failed: {fault}; export or calibrate the model again")

    def _fault(self, frame: Pixels) -> str | None:
        """What is wrong with the outputs for a frame uint8 [1, H, W, C], beside the score, None where nothing is."""
        explained, spec = self.explain(frame), self.card.input
        kinds = self.classify(frame) if self.kinds else np.zeros((1, 0), np.float32)
        arrays = (explained.score, explained.anomaly_map, explained.latent, kinds)
        cells, latent = explained.anomaly_map.shape, explained.latent.shape
        right = (
            explained.score.shape == (1,)
            and len(cells) == 3
            and 1 <= cells[1] <= spec.height
            and 1 <= cells[2] <= spec.width
            and explained.reconstruction.shape == frame.shape
            and explained.reconstruction.dtype == np.uint8
            and len(latent) == 2
            and 1 <= latent[1] <= MAX_LATENT
            and kinds.shape == (1, len(self.kinds))
            and all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays)
        )
        return None if right else "its outputs do not have the shapes and types of a model's"

    def _unlike_its_reference(self) -> str | None:
        """Which golden good part is too dark or blurred by the card's reference, None where none is."""
        reference, masked = self.card.reference, input_mask(self.card.input)
        for i, (frame, outcome) in enumerate(zip(self.golden_frames, self.golden_outcomes, strict=True)):
            dark = imaging.brightness(frame, masked) < imaging.TOO_DARK * reference.brightness.lowest
            blurred = imaging.sharpness(frame, masked) < imaging.TOO_BLURRED * reference.sharpness.lowest
            if outcome == "good" and i < GOLDEN_GOOD and (dark or blurred):
                return f"golden frame {i + 1} is far {'darker' if dark else 'less sharp'} than its card's reference"
        return None


def cut(content: bytes, outputs: Collection[str]) -> dict[str, bytes]:
    """The graphs of `PARTS` that a file with these outputs has; the whole file for SCORE where it cannot be cut.

    The reconstruction of other programs' files, and of old ones, may depend on more than the latent vector.
    """
    wanted = {name: part for name, part in PARTS.items() if name != KINDS or KINDS in outputs}
    try:
        return {name: extract(content, source, *targets) for name, (source, *targets) in wanted.items()}
    except (ValueError, KeyError):
        return {SCORE: content}


def read_card(path: Path) -> tuple[Card, str]:
    """The card and the sha256 of a model file, whose graph is not run. Raises UsageError, ModelError."""
    content = read_model(path)
    metadata = check_graph(content, str(path)).metadata
    if CARD_KEY not in metadata:
        raise ModelError(f"{path}: {NO_CARD}")
    return parse_card(metadata[CARD_KEY], str(path)), hashlib.sha256(content).hexdigest()


def read_model(path: Path) -> bytes:
    """The content of a model file. Raises UsageError: not there, not a file, or larger than any model."""
    try:
        # Opening a FIFO would wait for its writer.
        with os.fdopen(os.open(path, os.O_RDONLY | NONBLOCKING | BINARY), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise UsageError(f"{path}: cannot be read (not a file)")
            if facts.st_size > MAX_FILE_BYTES:
                raise UsageError(f"{path}: {facts.st_size} bytes; a model file has at most {MAX_FILE_BYTES}")
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such model file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
