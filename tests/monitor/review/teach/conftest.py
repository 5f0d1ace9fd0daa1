"""A line whose model can be fitted again: labels, training images, and a trainer that does what a test says."""

from pathlib import Path

import pytest
from andon_monitor.model.file import Model
from andon_monitor.review import labels
from andon_monitor.review.models.line_models import LineFile
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import FrameQuery

from tests.fixtures.fake_trainer import Trainer
from tests.fixtures.review_line import frames


@pytest.fixture
def line(store: Store, model: Model, tmp_path: Path) -> LineFile:
    """A model file, and a store where people labelled twelve false alarms and twelve defects."""
    for i, kind in enumerate(("borderline", "defect")):
        for frame in store.frames.find(FrameQuery(kind=kind))[:12]:
            labels.add_label(store, frame.id, "false alarm" if i == 0 else "confirmed", "", "ann")
    path = tmp_path / "part.onnx"
    path.write_bytes(model.content)
    return LineFile("part", path)


@pytest.fixture
def training(tmp_path: Path) -> Path:
    folder = tmp_path / "test" / "training"  # a folder above may have any name
    for i, frame in enumerate(frames(8, every=99, start=500)):
        path = folder / "train" / "good" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(frame.data)
    return folder


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    return Trainer(tmp_path, monkeypatch)
