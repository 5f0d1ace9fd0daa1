"""The trainer: images of good parts in, one model file out.

What the commands `fit`, `evaluate` and `calibrate` do, from Python:

    >>> from pathlib import Path
    >>> from andon_trainer import FitOptions, evaluate, fit
    >>> options = FitOptions(budget=120, iterations=4, side=64, size="small", networks=1, threads=1)
    >>> result = fit("part", options)            # a folder: train/good, test/good, test/scratch, ...
    >>> _ = Path("fitted.onnx").write_bytes(result.content)
    >>> evaluation = evaluate("fitted.onnx", "part")
    >>> 0 <= evaluation.image_auroc <= 1
    True
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

import andon_monitor  # first of all imports: it disables telemetry of onnxruntime

# Without a GPU, set-up leaves out triton (torch-cpu.txt); torch would warn of that on every start.
logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)

if TYPE_CHECKING:
    from andon_monitor import __version__

    from andon_trainer.data.dataset import Dataset, open_dataset
    from andon_trainer.data.sample import Sample
    from andon_trainer.errors import ExportError, FittingError
    from andon_trainer.evaluation import Evaluation, evaluate
    from andon_trainer.fitting import FitResult, fit
    from andon_trainer.options import FitOptions
    from andon_trainer.recalibration import CalibrationResult, calibrate
    from andon_trainer.report.page import write_report
    from andon_trainer.sample.render import write_line, write_sample

__all__ = [
    "CalibrationResult",
    "Dataset",
    "Evaluation",
    "ExportError",
    "FitOptions",
    "FitResult",
    "FittingError",
    "Sample",
    "__version__",
    "calibrate",
    "evaluate",
    "fit",
    "open_dataset",
    "write_line",
    "write_report",
    "write_sample",
]

# Where each public name is; it is imported when it is first asked for, since torch takes seconds to import.
_MODULES = {
    "CalibrationResult": "recalibration",
    "Dataset": "data.dataset",
    "Evaluation": "evaluation",
    "ExportError": "errors",
    "FitOptions": "options",
    "FitResult": "fitting",
    "FittingError": "errors",
    "Sample": "data.sample",
    "calibrate": "recalibration",
    "evaluate": "evaluation",
    "fit": "fitting",
    "open_dataset": "data.dataset",
    "write_line": "sample.render",
    "write_report": "report.page",
    "write_sample": "sample.render",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return andon_monitor.__version__
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
