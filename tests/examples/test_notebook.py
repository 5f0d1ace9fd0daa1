"""The notebook runs from its first cell to its last, and what it says is about this model."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "public-api.ipynb"


def test_the_notebook_runs(
    sample_folder: Path,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its cells are plain Python; no kernel is needed for them."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "part").symlink_to(sample_folder)
    (tmp_path / "demo" / "part.onnx").symlink_to(model_file)
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not [cell for cell in notebook["cells"] if cell.get("outputs")], "clear its outputs before it is committed"
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"{NOTEBOOK.name}, code cell {number + 1}", "exec"), names)
    said = capsys.readouterr().out
    assert "of 6 called a defect" in said
    assert "pixels become" in said
    assert "trustworthiness" in said
