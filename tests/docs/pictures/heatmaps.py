"""Make the picture from what `make demo` left: python -m tests.docs.pictures.heatmaps demo

Rows: frame, reconstruction, heatmap. Columns: the first part of each of six kinds of defect, and a good one.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.model.file import Model
from andon_monitor.model.heatmap import heatmap
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_image

KINDS = ("dent", "chip", "missing_hole", "blocked_hole", "stain", "wrong_finish", "good")
GAP = 8  # pixels of white between pictures


def main(demo: Path) -> None:
    """Write docs/pictures/heatmaps.jpg."""
    model = Model.load(demo / "part.onnx", provider="cpu")
    test = open_dataset(demo / "part").test
    columns = []
    for kind in KINDS:
        frame = load_image(next(sample.path for sample in test if sample.label == kind), model.card.input)
        explained = model.explain(frame[None])
        pictures = [
            np.repeat(frame, 3 // frame.shape[2], axis=2),
            np.repeat(explained.reconstruction[0], 3 // frame.shape[2], axis=2),
            heatmap(frame, explained.anomaly_map[0], model.card.threshold),
        ]
        columns.append(
            np.vstack([np.pad(picture, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for picture in pictures])
        )
    sheet = np.hstack(columns)
    cv2.imwrite("docs/pictures/heatmaps.jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
