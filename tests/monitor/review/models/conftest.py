"""A model file of the line, with the model whose verdicts the store has."""

from pathlib import Path

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review.models.line_models import LineFile


@pytest.fixture
def part(model: Model, tmp_path: Path) -> LineFile:
    path = tmp_path / "part.onnx"
    path.write_bytes(model.content)
    return LineFile("part", path)
