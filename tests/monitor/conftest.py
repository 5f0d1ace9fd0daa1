"""Fixtures: the small model and a recording of its part."""

from pathlib import Path

import pytest
from andon_monitor.model.file import Model

from tests.fixtures.small_model import build_model, parts, write_recording


@pytest.fixture(scope="session")
def model_bytes() -> bytes:
    return build_model()


@pytest.fixture(scope="session")
def model(model_bytes: bytes) -> Model:
    return Model.from_bytes(model_bytes, "test.onnx", "cpu")


@pytest.fixture
def model_path(model_bytes: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "part.onnx"
    path.write_bytes(model_bytes)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Forty frames of two cameras, four of them defects."""
    return write_recording(tmp_path / "line", parts(40), ("station-1", "station-2"))
