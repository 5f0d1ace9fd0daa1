"""What the two packages show to the outside: the names in `__all__`, lazily, and examples that run."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import andon_monitor
import andon_trainer
import pytest

MONITOR = [
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


TRAINER = [
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


@pytest.mark.parametrize(
    ("package", "names"), [(andon_monitor, MONITOR), (andon_trainer, TRAINER)], ids=["monitor", "trainer"]
)
def test_the_public_names_are_these(package: ModuleType, names: list[str]) -> None:
    assert package.__all__ == names
    assert dir(package) == sorted(names)
    for name in names:
        value = getattr(package, name)
        assert isinstance(value, str) or value.__doc__, f"{package.__name__}.{name} has no docstring"
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        _ = package.absent


@pytest.mark.parametrize("package", ["andon_monitor", "andon_trainer"])
def test_importing_a_package_imports_nothing_heavy(package: str) -> None:
    code = f"import sys, {package}; print(*{{'torch', 'numpy', 'onnxruntime', 'cv2', 'rich'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_model_file_is_used_without_torch(model_file: Path) -> None:
    code = "import sys, andon_monitor; andon_monitor.load(sys.argv[1]).latent_size; print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, str(model_file)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.parametrize("module", ["andon_monitor", "andon_monitor.model.autoencoder", "andon_trainer"])
def test_the_examples_in_docstrings_run(
    module: str, model_file: Path, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "part.onnx").symlink_to(model_file)
    (tmp_path / "part").symlink_to(sample_folder)
    (tmp_path / "part.png").symlink_to(min((sample_folder / "train" / "good").iterdir()))
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
