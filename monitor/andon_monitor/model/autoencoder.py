"""A model file as an autoencoder, for notebooks and tools: encode, decode, reconstruct, score, explain.

    from andon_monitor.model.autoencoder import Autoencoder

    part = Autoencoder.load("part.onnx")
    frame = part.read("images/0001.png")          # uint8 [H, W, C], the model's input
    latent = part.encode(frame[None])             # float32 [1, D]
    picture = part.decode(latent)[0]              # uint8 [H, W, C]
    heat = part.explain(frame[None])[0]           # uint8 [H, W, 3]

It needs onnxruntime, not torch. Encoder and decoder are extracted from the model's graph, which holds both.
"""

import os
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from andon_monitor.errors import ImageError, ModelError, UsageError
from andon_monitor.model import heatmap, imaging
from andon_monitor.model.card import Card
from andon_monitor.model.file import INPUT, Model
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.session import Session
from andon_monitor.model.subgraph import extract

LATENT = "latent"
RECONSTRUCTION = "reconstruction"


class Autoencoder:
    """A verified model file, with its encoder and decoder."""

    def __init__(self, model: Model, provider: str = "auto", threads: int = 0) -> None:
        self.model = model
        self._run_on = (provider, threads)

    @classmethod
    def load(cls, path: str | os.PathLike[str], provider: str = "auto", threads: int = 0) -> "Autoencoder":
        """Open a model file. `provider`: auto, cpu, cuda, tensorrt; `threads`: frames in parallel, 0: one per core.

        Raises UsageError (no such file or provider) and ModelError (not a model file, damaged, self-test failed).
        """
        return cls(Model.load(Path(path), provider, threads), provider, threads)

    @property
    def card(self) -> Card:
        """The model card."""
        return self.model.card

    @property
    def sha256(self) -> str:
        """The file's sha256, 64 hexadecimal digits."""
        return self.model.sha256

    @cached_property
    def latent_size(self) -> int:
        """D, the length of a latent vector."""
        size: int = self._decoder.inputs[LATENT][1]
        return size

    def read(self, path: str | os.PathLike[str]) -> Pixels:
        """An image file as the model's input, uint8 [H, W, C]: decoded, cropped, resized. Raises UsageError."""
        try:
            return imaging.load(Path(path).read_bytes(), self.card.input)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
        except ImageError as error:
            raise UsageError(f"{path}: {error}") from None

    def encode(self, frames: ArrayLike) -> NDArray[np.float32]:
        """Latent vectors float32 [N, D] of frames uint8 [N, H, W, C]."""
        return self._encoder.run([LATENT], self._frames(frames))[0]

    def decode(self, latents: ArrayLike) -> Pixels:
        """Pictures uint8 [N, H, W, C] of latent vectors [N, D]. Raises UsageError for another shape."""
        rows = np.asarray(latents, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.latent_size or len(rows) == 0:
            raise UsageError(f"latent vectors of shape {rows.shape}: right is (N, {self.latent_size}), N at least 1")
        return self._decoder.run([RECONSTRUCTION], rows)[0]

    def reconstruct(self, frames: ArrayLike) -> Pixels:
        """Reconstructions uint8 [N, H, W, C] of frames of the same shape: `decode(encode(frames))`."""
        return self.decode(self.encode(frames))

    def score(self, frames: ArrayLike) -> NDArray[np.float32]:
        """Anomaly scores float32 [N] of frames uint8 [N, H, W, C]; above `card.threshold` is a defect."""
        return self.model.score(self._frames(frames))

    def explain(self, frames: ArrayLike) -> Pixels:
        """Heatmaps uint8 [N, H, W, 3]: anomaly maps drawn over their frames uint8 [N, H, W, C]."""
        rows = self._frames(frames)
        maps = self.model.explain(rows).anomaly_map
        return np.stack(
            [heatmap.heatmap(frame, cells, self.card.threshold) for frame, cells in zip(rows, maps, strict=True)]
        )

    @cached_property
    def _encoder(self) -> Session:
        return self._part(INPUT, LATENT)

    @cached_property
    def _decoder(self) -> Session:
        return self._part(LATENT, RECONSTRUCTION)

    def _part(self, source: str, target: str) -> Session:
        try:
            part = extract(self.model.content, source, target)
        except ValueError as error:
            raise ModelError(
                f"{self.model.path}: encoder and decoder cannot be extracted ({error}); fit the model again"
            ) from None
        return Session(part, self.model.path, *self._run_on)

    def _frames(self, frames: ArrayLike) -> Pixels:
        rows, spec = np.asarray(frames), self.card.input
        expected = (spec.height, spec.width, spec.channels)
        if rows.dtype != np.uint8 or rows.shape[1:] != expected or len(rows) == 0:
            right = f"uint8 (N, {', '.join(map(str, expected))}), N at least 1"
            raise UsageError(f"frames of {rows.dtype} {rows.shape}: right is {right}; `read` makes such frames")
        return rows
