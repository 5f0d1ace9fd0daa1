"""A model file as an autoencoder, for notebooks and tools: score, encode, decode, reconstruct, explain."""

import os
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from andon_monitor.errors import ImageError, ModelError, UsageError
from andon_monitor.image_files.reading import read_image_file
from andon_monitor.model import imaging
from andon_monitor.model.card import Card
from andon_monitor.model.file import INPUT, LATENT, RECONSTRUCTION, Explanation, Model
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.session import Session
from andon_monitor.model.subgraph import extract


class Autoencoder:
    """A verified model file. `load` opens one; several threads may use it.

    Frames are uint8 [N, H, W, C] with N >= 1, of the size `card.input`; `read` makes one from an image file. Methods
    raise UsageError for arrays of another shape or type.

        >>> import numpy as np
        >>> model = load("part.onnx")
        >>> frames = np.stack([model.read("part.png")])
        >>> latents = model.encode(frames)
        >>> latents.shape == (1, model.latent_size)
        True
        >>> np.array_equal(model.decode(latents), model.reconstruct(frames))
        True

    Encoder and decoder are cut out of the file's one graph on either side of `latent`, when they are first used.
    """

    def __init__(self, model: Model, provider: str = "auto", threads: int = 0) -> None:
        self.model = model
        self._run_on = (provider, threads)

    @classmethod
    def load(cls, path: str | os.PathLike[str], provider: str = "auto", threads: int = 0) -> "Autoencoder":
        """Open a model file that `andon-trainer fit` wrote, and run its self-test.

        `provider`: execution provider, one of auto (cuda where there is a GPU), cpu, cuda, tensorrt; `threads`: frames
        scored in parallel on a CPU, 0 for one per core.

        Raises UsageError (no such file or provider) and ModelError (not a model file, damaged, self-test failed).

            >>> model = load("part.onnx", provider="cpu")
            >>> 0 < model.card.calibration.false_alarm_rate <= 0.1
            True
        """
        return cls(Model.load(Path(path), provider, threads), provider, threads)

    @property
    def card(self) -> Card:
        """The model card: threshold, input, calibration, training."""
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
            return imaging.load(read_image_file(Path(path)), self.card.input)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
        except ImageError as error:
            raise UsageError(f"{path}: {error}") from None

    def encode(self, frames: ArrayLike) -> NDArray[np.float32]:
        """Latent vectors float32 [N, D] of frames uint8 [N, H, W, C]."""
        return self._encoder.run([LATENT], self._frames(frames))[0]

    def decode(self, latents: ArrayLike) -> Pixels:
        """Pictures uint8 [N, H, W, C] of latent vectors [N, D]."""
        rows = np.asarray(latents, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.latent_size or len(rows) == 0:
            raise UsageError(f"latent vectors of shape {rows.shape}: right is (N, {self.latent_size}), N at least 1")
        return self._decoder.run([RECONSTRUCTION], rows)[0]

    def reconstruct(self, frames: ArrayLike) -> Pixels:
        """Reconstructions uint8 [N, H, W, C] of frames of the same shape: `decode(encode(frames))`."""
        return self.decode(self.encode(frames))

    def score(self, frames: ArrayLike) -> NDArray[np.float32]:
        """Anomaly scores float32 [N] of frames uint8 [N, H, W, C]; a part above `card.threshold` is a defect."""
        return self.model.score(self._frames(frames))

    def explain(self, frames: ArrayLike) -> Explanation:
        """Anomaly maps, reconstructions, latent vectors and heatmaps of frames uint8 [N, H, W, C], with their scores.

        >>> model = load("part.onnx")
        >>> explained = model.explain(model.read("part.png")[None])
        >>> explained.heatmap[0].shape == (model.card.input.height, model.card.input.width, 3)
        True
        """
        return self.model.explain(self._frames(frames))

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


load = Autoencoder.load
