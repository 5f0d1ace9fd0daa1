"""The monitor: camera frames in, verdicts out. Needs onnxruntime and OpenCV, never torch.

A model file in Python, for notebooks and tools:

    >>> from andon_monitor import load
    >>> model = load("part.onnx")
    >>> frame = model.read("part.png")           # uint8 [H, W, C], as the model takes it
    >>> float(model.score(frame[None])[0]) > model.card.threshold  # True: a defect
    False
    >>> explained = model.explain(frame[None])   # anomaly map, reconstruction, latent vector, heatmap
    >>> explained.heatmap.dtype, explained.heatmap.shape[3]
    (dtype('uint8'), 3)

`docs/contracts.md` says what the modules of this package promise each other.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# A line's data is confidential: onnxruntime sends telemetry from version 1.29 on, unless this is set before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from andon_monitor.errors import (
        AndonError,
        EvidenceError,
        ImageError,
        InstallationError,
        ModelError,
        OutputError,
        SourceError,
        UsageError,
    )
    from andon_monitor.model.autoencoder import Autoencoder, load
    from andon_monitor.model.calibration import Calibration
    from andon_monitor.model.card import Card, InputSpec
    from andon_monitor.model.file import Explanation

    __version__: str

__all__ = [
    "AndonError",
    "Autoencoder",
    "Calibration",
    "Card",
    "EvidenceError",
    "Explanation",
    "ImageError",
    "InputSpec",
    "InstallationError",
    "ModelError",
    "OutputError",
    "SourceError",
    "UsageError",
    "__version__",
    "load",
]

# Where each public name is; it is imported when it is first asked for, so that `--help` answers at once.
_MODULES = {
    "Autoencoder": "model.autoencoder",
    "Calibration": "model.calibration",
    "Card": "model.card",
    "Explanation": "model.file",
    "InputSpec": "model.card",
    "load": "model.autoencoder",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        # That of the git tag from which the package was built.
        value: Any = import_module("importlib.metadata").version("andon")
    else:
        value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
