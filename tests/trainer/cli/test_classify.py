"""`classify` as a user calls it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.file import Model
from andon_trainer.uses import learner as learning

from tests.fixtures.commands import call


def test_the_command_writes_a_model_that_names_kinds_and_compares_the_methods(
    model_file: Path, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "FROM_SCRATCH", (2, 1e-3))
    for i, path in enumerate(sorted((sample_folder / "train/good").iterdir())[:10]):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.circle(image, (150 + 10 * i, 200), 40, 255 if i % 2 else 0, -1)
        folder = tmp_path / "defects" / ("bright" if i % 2 else "dark")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{i}.png"), image)
    kinds, curve = tmp_path / "kinds.onnx", tmp_path / "curve.png"
    done = call(
        *("classify", model_file, tmp_path / "defects", "-o", kinds, "--picture", curve),
        *("--draws", "1", "--way", "frozen", "--threads", "1"),
    )
    assert done.exception is None, done.exception
    for text in ("untrained", "fine-tuned", "PCA", "10 defects of 2 kinds", "calibration error"):
        assert text in done.output
    assert curve.read_bytes().startswith(b"\x89PNG")
    model = Model.load(kinds, "cpu")
    assert model.kinds == ("bright", "dark")
    paths = sorted((tmp_path / "defects").rglob("*.png"))
    frames = np.stack([Autoencoder(model, "cpu").read(path) for path in paths])
    named = [model.kinds[i] for i in model.classify(frames).argmax(axis=1)]
    assert named == [path.parent.name for path in paths]
