"""A model under a mask, from the files of a fit to the verdict: all programs look at the same places."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.anomaly_map import NOT_INSPECTED
from andon_monitor.model.file import Model
from andon_monitor.model.mask import read_mask
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.input import choose_input
from andon_trainer.evaluation import evaluate
from andon_trainer.fitting import FitResult, fit
from andon_trainer.options import FitOptions
from andon_trainer.recalibration import calibrate

from tests.fixtures.small_model import make_frame

LABEL = (60, 72, 40, 20)  # left, top, width, height in a frame of 192 x 128 pixels


def part(seed: int, number: int, defect: tuple[int, int] | None = None) -> np.ndarray:
    """A rough surface with a serial number that is printed on a label; uint8 [128, 192]."""
    rng = np.random.default_rng(seed)
    frame = cv2.GaussianBlur(rng.normal(120, 60, (128, 192)), (0, 0), 1.5).clip(0, 255).astype(np.uint8)
    left, top, width, height = LABEL
    frame[top + 2 : top + height - 2, left + 2 : left + width - 2] = 230
    cv2.putText(frame, f"{number:05d}", (left + 3, top + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 20, 1, cv2.LINE_AA)
    if defect is not None:
        cv2.circle(frame, defect, 4, 10, -1)
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("masked")

    def save(name: str, image: np.ndarray) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), image)

    for i in range(24):
        save(f"train/good/{i:02d}.png", part(i, 7 * i))
    for i in range(4):
        save(f"test/good/{i}.png", part(100 + i, 11111 * i))
        save(f"test/spot/{i}.png", part(200 + i, i, (120, 60)))
        truth = cv2.circle(np.zeros((128, 192), np.uint8), (120, 60), 4, 255, -1)
        save(f"ground_truth/spot/{i}_mask.png", truth)
    save("test/misprint/0.png", part(300, 88888))
    save("ground_truth/misprint/0_mask.png", cv2.rectangle(np.zeros((128, 192), np.uint8), (66, 78), (90, 86), 255, -1))
    left, top, width, height = (2 * length for length in LABEL)  # drawn on a camera of twice the resolution
    corners = [[left, top], [left + width, top], [left + width, top + height], [left, top + height]]
    (root / "mask.json").write_text(json.dumps({"size": [384, 256], "ignore": [corners]}))
    return root


@pytest.fixture(scope="module")
def fitted(folder: Path) -> FitResult:
    options = FitOptions(
        mask=read_mask(folder / "mask.json"), iterations=10, side=96, size="small", networks=1, threads=1, device="cpu"
    )
    return fit(folder, options)


def test_the_card_has_the_mask_and_says_so_in_the_pixels_it_was_drawn_in(fitted: FitResult, folder: Path) -> None:
    assert fitted.model.card.input.mask == read_mask(folder / "mask.json")
    assert fitted.model.card.input.frame_size == (192, 128)
    assert fitted.parity < 1e-4


def test_a_serial_number_under_the_mask_changes_no_bit_and_the_defect_beside_it_is_found(fitted: FitResult) -> None:
    inspector = Inspector(fitted.model)

    def inspect(image: np.ndarray) -> Any:
        prepared = inspector.prepare(make_frame(cv2.imencode(".png", image)[1].tobytes()))
        return inspector.inspect([prepared])[0], prepared

    scores = set()
    for number in (0, 12345, 88888):
        verdict, prepared = inspect(part(500, number))
        scores.add((verdict.score, prepared.brightness, prepared.sharpness))
    assert len(scores) == 1
    beside = (LABEL[0] + LABEL[2] + 12, LABEL[1] + 8)
    good, bad = inspect(part(500, 5))[0], inspect(part(500, 5, beside))[0]
    assert bad.score > good.score
    for region in () if bad.regions is None else bad.regions.found:
        assert (
            not LABEL[0] <= region.peak[0] < LABEL[0] + LABEL[2] or not LABEL[1] <= region.peak[1] < LABEL[1] + LABEL[3]
        )


def test_evaluation_and_heatmaps_leave_out_what_is_masked(fitted: FitResult, folder: Path) -> None:
    evaluation = evaluate(fitted.model, folder)
    assert evaluation.pixels.regions == 4, "the misprint lies under the mask"
    assert "1 defect lies wholly where the model does not look" in " ".join(evaluation.notes)
    frame = fitted.held_out[:1]
    explained = fitted.model.explain(frame)
    assert (explained.anomaly_map == NOT_INSPECTED).mean() == pytest.approx(800 / (192 * 128), rel=0.6)
    assert explained.heatmap.shape == (*frame.shape[:3], 3)


def test_calibration_keeps_the_mask(fitted: FitResult, tmp_path: Path) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(fitted.content)
    (tmp_path / "good").mkdir()
    for i in range(8):
        cv2.imwrite(str(tmp_path / "good" / f"{i}.png"), part(400 + i, i))
    result = calibrate(path, tmp_path / "good", false_alarm_rate=0.1)
    assert result.card.input == fitted.model.card.input
    again = Model.from_bytes(result.content, "part")
    assert np.array_equal(again.score(fitted.held_out), fitted.model.score(fitted.held_out))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"size": [400, 200], "ignore": [[[0, 0], [9, 0], [9, 9]]]}, "another aspect ratio than the mask's 400 x 200"),
        (
            {"size": [192, 128], "ignore": [[[0, 0], [192, 0], [192, 128], [0, 128]]]},
            "--mask: leaves 0.0% of the image",
        ),
        ({"size": [192, 128], "regions": [[[0, 0], [5, 0], [5, 5]]]}, "too little at 160 x 96 pixels"),
    ],
)
def test_a_mask_that_does_not_fit_the_images_is_refused(folder: Path, tmp_path: Path, mask: Any, message: str) -> None:
    (tmp_path / "mask.json").write_text(json.dumps(mask))
    with pytest.raises(UsageError, match=message):
        choose_input(open_dataset(folder).train, 128, mask=read_mask(tmp_path / "mask.json"))
