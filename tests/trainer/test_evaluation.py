"""The metrics, against cases worked by hand and other formulations of them; then on files, by the line's path."""

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.model import imaging
from andon_monitor.model.anomaly_map import NOT_INSPECTED
from andon_monitor.model.autoencoder import load
from andon_monitor.model.file import Model
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.known_images import image_hashes
from andon_trainer.data.sample import Sample
from andon_trainer.evaluation import (
    Judged,
    PixelCounts,
    area_below,
    auroc,
    average_precision,
    evaluate,
    f1_max,
    measure,
)
from andon_trainer.export.metadata import with_card
from numpy.typing import NDArray

from tests.fixtures.small_model import FRAME, build_model, draw

LABELS = np.array([False, False, False, True, True])


def judged(**scores: list[float]) -> list[Judged]:
    return [Judged(Path(f"{k}/{i}.png"), k, s, s > 1.5) for k, values in scores.items() for i, s in enumerate(values)]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1, 2, 3, 4, 5], 1.0),
        ([3, 4, 5, 1, 2], 0.0),
        ([1, 1, 1, 1, 1], 0.5),
        ([1, 2, 3, 2, 3], 4 / 6),  # pairs won: 1 + 2, ties counting half: 1/2 + 1/2
    ],
)
def test_auroc_is_the_share_of_pairs_in_order_with_ties_counting_half(scores: list[float], expected: float) -> None:
    assert auroc(LABELS, scores) == pytest.approx(expected)


def test_average_precision_and_f1_max_of_a_case_worked_by_hand() -> None:
    # From the top: defect, good, defect, good, good. Precision at the defects: 1 and 2/3.
    scores = [4, 2, 1, 5, 3]
    assert average_precision(LABELS, scores) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # F1 at each cut: 2/3, 1/2, 4/5, 2/3, 4/7.
    assert f1_max(LABELS, scores) == pytest.approx(4 / 5)


@pytest.mark.parametrize("metric", [auroc, average_precision, f1_max])
@pytest.mark.parametrize("labels", [[True, True], [False, False]])
def test_ranking_is_undefined_without_both_good_parts_and_defects(metric, labels) -> None:
    assert metric(np.array(labels), [1.0, 2.0]) is None


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(1.0, 0.5), (0.5, 0.125), (0.3, 0.045), (0.25, 0.03125)],
)
def test_the_area_below_a_diagonal_is_cut_at_the_limit(limit: float, expected: float) -> None:
    diagonal = np.linspace(0, 1, 5)
    assert area_below(diagonal, diagonal, limit) == pytest.approx(expected)


def test_au_pro_of_a_case_worked_by_hand() -> None:
    """Ten good pixels, a region of one pixel and one of four; each region weighs the same."""
    mask = np.zeros((3, 5), bool)
    mask[0, 0] = True
    mask[0:2, 3:5] = True
    values = np.zeros((3, 5), np.float32)
    values[0, 0] = 9  # found first: mean overlap 1/2 at no false positives
    values[2, 0] = 8  # then one false positive in ten
    values[0:2, 3:5] = [[7, 7], [1, 1]]  # then half of the other region: 3/4
    values[2, 1:3] = 5  # then two more: 3/10
    counts = PixelCounts()
    counts.add(values, mask)
    assert (counts.images, counts.regions) == (1, 2)
    # 1/2 over 0 to 0.1, then 3/4 over 0.1 to 0.3.
    assert counts.au_pro() == pytest.approx((0.05 + 0.15) / 0.3)
    # Of the five defect pixels one is found at no false positives, three from 0.1 on, all from 0.3 on.
    assert counts.auroc() == pytest.approx(0.1 * 1 / 5 + 0.7 * 1 + 0.2 * 3 / 5)


def test_diagonal_neighbours_are_one_region() -> None:
    counts = PixelCounts()
    counts.add(np.zeros((4, 4), np.float32), np.eye(4, dtype=bool))
    assert counts.regions == 1


def test_pixel_metrics_agree_with_their_definitions_on_maps_of_noise() -> None:
    """The regions' overlaps and the false positives, threshold by threshold, and every pixel held in memory."""
    rng = np.random.default_rng(3)
    counts = PixelCounts()
    maps, masks = [], []
    for _ in range(6):
        mask = np.zeros((24, 24), bool)
        for _ in range(int(rng.integers(0, 3))):
            top, left = rng.integers(0, 20, 2)
            mask[top : top + rng.integers(1, 5), left : left + rng.integers(1, 5)] = True
        # Of both signs, and coarse enough that the bins tell all values apart.
        values = (np.round((rng.normal(size=(24, 24)) + mask) * 16) / 16).astype(np.float32)
        counts.add(values, mask)
        maps.append(values)
        masks.append(mask)
    assert counts.auroc() == pytest.approx(auroc(np.stack(masks).ravel(), np.stack(maps).ravel()))
    assert counts.au_pro() == pytest.approx(slow_au_pro(maps, masks, 0.3))
    assert counts.au_pro(limit=0.05) == pytest.approx(slow_au_pro(maps, masks, 0.05))


def slow_au_pro(maps: list[NDArray[np.float32]], masks: list[NDArray[np.bool_]], limit: float) -> float:
    regions = []
    for values, mask in zip(maps, masks, strict=True):
        count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        regions += [values[numbers == number] for number in range(1, count)]
    good = np.concatenate([values[~mask] for values, mask in zip(maps, masks, strict=True)])
    cuts = np.unique(np.stack(maps))[::-1]
    x = np.array([0.0] + [(good >= cut).mean() for cut in cuts])
    y = np.array([0.0] + [np.mean([(region >= cut).mean() for region in regions]) for cut in cuts])
    fine = np.unique(np.concatenate([x[x < limit], [limit]]))
    area = 0.0
    for left, right in pairwise(fine):
        start = y[x == left].max() if (x == left).any() else np.interp(left, x, y)
        end = y[x == right].min() if (x == right).any() else np.interp(right, x, y)
        area += (right - left) * (start + end) / 2
    return area / limit


def test_pixels_where_the_model_does_not_look_count_neither_as_good_nor_as_defect() -> None:
    rng = np.random.default_rng(3)
    cells = rng.normal(1, 0.2, (8, 8)).astype(np.float32)
    truth = np.zeros((32, 32), np.bool_)
    truth[4:12, 8:24] = True
    left, whole = PixelCounts(), PixelCounts()
    assert whole.add(cells[:, :4], truth[:, :16])
    cells[:, 4:] = NOT_INSPECTED
    truth[20:30, 20:30] = True  # a defect that lies wholly under the mask
    assert left.add(cells, truth)
    assert left.regions == whole.regions == 1
    assert left.auroc() == pytest.approx(whole.auroc(), abs=0.02), "but for pixels next to the mask"
    assert left.au_pro() == pytest.approx(whole.au_pro(), abs=0.05)
    hidden = np.zeros((32, 32), np.bool_)
    hidden[20:30, 20:30] = True
    assert not PixelCounts().add(cells, hidden)


def test_maps_are_brought_to_the_masks_resolution_bilinearly() -> None:
    counts = PixelCounts()
    counts.add(np.array([[0, 1]], np.float32), np.array([[False, True, False, False]]))
    # 0, 1/4, 3/4, 1: the second is above one of the three others. Repeated, it would tie with one.
    assert counts.auroc() == pytest.approx(1 / 3)


def test_each_kind_is_measured_against_the_good_parts_alone() -> None:
    evaluation = measure(judged(good=[1, 2], scratch=[3, 4], stain=[0, 1.6]), threshold=1.5)
    assert [(kind.kind, kind.count, kind.auroc) for kind in evaluation.kinds] == [
        ("scratch", 2, 1.0),
        ("stain", 2, pytest.approx(0.25)),
    ]
    assert [kind.detection.flagged for kind in evaluation.kinds] == [2, 1]
    assert evaluation.false_alarms is not None
    assert evaluation.false_alarms.share == 0.5
    assert evaluation.detection is not None
    assert evaluation.detection.share == 0.75


def test_a_score_at_the_threshold_is_good() -> None:
    evaluation = measure([Judged(Path("a"), "good", 1.5, False)], threshold=1.5)
    assert evaluation.false_alarms is not None
    assert evaluation.false_alarms.flagged == 0


@pytest.mark.parametrize("only", ["good", "scratch"])
def test_what_is_undefined_is_null_in_json(only: str) -> None:
    evaluation = measure(judged(**{only: [1.0, 2.0]}), threshold=1.5)
    fields = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert fields["image_auroc"] is None
    assert fields["pixels"] is None
    assert (fields["false_alarms"] is None) == (only != "good")
    assert "image_auroc" not in evaluation.headline()


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.from_bytes(build_model(), "test.onnx", provider="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "part")


def test_a_folder_is_evaluated_by_the_path_of_the_line(model: Model, folder: Path) -> None:
    seen = []
    samples = open_dataset(folder).test
    evaluation = evaluate(model, samples, lambda what, share: seen.append(share))
    assert seen == [(i + 1) / len(samples) for i in range(len(samples))]
    for image in evaluation.images:
        frame = imaging.load(image.path.read_bytes(), model.card.input)
        assert image.score == float(model.score(frame[None])[0])  # to the last bit
        assert image.defect == (image.score > model.card.threshold)
    assert evaluation.image_auroc == 1.0
    assert [kind.kind for kind in evaluation.kinds] == ["hole", "stain"]
    # Eight good ones and four holes with masks; the stains have none.
    assert evaluation.pixels is not None
    assert (evaluation.pixels.images, evaluation.pixels.regions) == (12, 4)
    assert evaluation.pixels.auroc == pytest.approx(1.0, abs=0.02)
    assert evaluation.pixels.au_pro == pytest.approx(1.0, abs=0.05)
    assert set(evaluation.headline()) == {
        "image_auroc",
        "average_precision",
        "f1_max",
        "pixel_auroc",
        "au_pro",
        "false_alarm_rate",
        "detection_rate",
    }
    json.dumps(evaluation.to_dict(), allow_nan=False)


def test_good_images_that_the_model_was_fitted_to_are_left_out(model: Model, folder: Path) -> None:
    samples = open_dataset(folder).test
    good = [sample for sample in samples if sample.label == "good"]
    known = image_hashes(load_images(good[:2], model.card.input))
    training = model.card.training.model_copy(update={"known_images": known})
    content = with_card(onnx.load_from_string(model.content), model.card.model_copy(update={"training": training}))
    fitted = Model.from_bytes(content, "fitted", provider="cpu")
    evaluation = evaluate(fitted, samples)
    assert evaluation.images == evaluate(model, [sample for sample in samples if sample not in good[:2]]).images
    assert evaluation.notes == ("2 good images are left out, because the model was fitted to them",)
    with pytest.raises(UsageError, match="the model was fitted to all 2 images"):
        evaluate(fitted, good[:2])


def test_paths_are_opened_as_the_command_opens_them(model: Model, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(model.content)
    expected = evaluate(model, open_dataset(folder).test)
    assert evaluate(str(path), folder) == expected
    assert evaluate(load(path), open_dataset(folder)) == expected


def test_a_mask_that_vanishes_at_the_models_resolution_is_left_out(model: Model, folder: Path) -> None:
    tiny = np.zeros((64, 64), np.uint8)
    tiny[5, 5] = 255
    cv2.imwrite(str(folder / "ground_truth/hole/0_mask.png"), tiny)
    evaluation = evaluate(model, open_dataset(folder).test)
    assert evaluation.pixels is not None
    assert evaluation.pixels.images == 11
    (note,) = evaluation.notes
    assert note.startswith("1 mask shows no defect at the model's resolution; pixel figures leave them out (")
    assert note.endswith("0_mask.png)")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"not an image", "known format"), (None, "truncated")],
)
def test_a_file_that_cannot_be_decoded_is_named(
    model: Model, folder: Path, content: bytes | None, message: str
) -> None:
    path = folder / "test/hole/2.png"
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    with pytest.raises(UsageError, match=message) as raised:
        evaluate(model, open_dataset(folder).test)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_file_of_another_size_is_named(model: Model, folder: Path) -> None:
    path = folder / "test/good/1.png"
    cv2.imwrite(str(path), np.full((20, 20), 200, np.uint8))
    with pytest.raises(UsageError, match=r"test/good/1\.png: 20 x 20 pixels, the model was trained on 64 x 64"):
        evaluate(model, open_dataset(folder).test)


def test_nothing_to_evaluate_is_an_error(model: Model) -> None:
    with pytest.raises(UsageError, match="no images to evaluate"):
        evaluate(model, ())


def test_a_missing_file_is_named(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.png: cannot be read"):
        evaluate(model, [Sample(tmp_path / "gone.png", "good")])


def write_folder(root: Path) -> Path:
    """Bright parts; holes are black squares with masks, stains are grey squares without."""
    for kind, count, grey in (("good", 8, None), ("hole", 4, 0), ("stain", 3, 60)):
        (root / "test" / kind).mkdir(parents=True)
        for i in range(count):
            image, mask = draw(i), np.zeros((FRAME, FRAME), np.uint8)
            if grey is not None:
                mask[16 : 40 + 2 * i, 16:48] = 255
                image[mask > 0] = grey
            cv2.imwrite(str(root / "test" / kind / f"{i}.png"), image)
            if kind == "hole":
                (root / "ground_truth" / kind).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(root / "ground_truth" / kind / f"{i}_mask.png"), mask)
    return root
