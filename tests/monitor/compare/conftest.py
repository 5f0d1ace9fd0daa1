"""A labelled recording, and a model that flags more of it than the small model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.formats.mcap_writer import RecordingWriter
from andon_monitor.sources.folder import FolderSource

from tests.fixtures.small_model import build_model, with_threshold


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """The small model with a lower threshold: it flags some good parts."""
    return model_with(tmp_path / "lower.onnx", lambda scores: 0.8)


def model_with(path: Path, threshold: Callable[[Any], float]) -> Path:
    def change(card: dict[str, Any]) -> dict[str, Any]:
        return with_threshold(card, threshold(card["calibration"]["scores"]))

    path.write_bytes(build_model(card_json=change))
    return path


@pytest.fixture
def line(recording: Path, tmp_path: Path) -> Path:
    """The folder's frames and labels as a recording."""
    writer = RecordingWriter(tmp_path / "line.mcap", {})
    for frame in FolderSource(recording).poll(100, 0) or []:
        writer.write(frame)
    writer.file.close()
    return writer.file.path
