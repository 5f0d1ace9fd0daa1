"""From a folder of good parts to a model file and back: one score for one file, wherever it is asked for."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy

import cv2
import numpy as np
import onnx
import pytest
from andon_monitor.common.intervals import Rate, rate
from andon_monitor.image_files.decoding import DecodingLimits
from andon_monitor.model import imaging
from andon_monitor.model.calibration import calibrate
from andon_monitor.model.card import CARD_KEY, InputSpec
from andon_monitor.model.file import Model
from andon_trainer.data.audit import far_out
from andon_trainer.data.dataset import open_dataset
from andon_trainer.data.images import load_image, load_images
from andon_trainer.data.input import choose_input
from andon_trainer.evaluation import evaluate
from andon_trainer.fitting import fit
from andon_trainer.options import FitOptions

from tests.fixtures.image_networks import own_network


@pytest.fixture(scope="module")
def model(model_file: Path) -> Model:
    return Model.load(model_file, provider="cpu")


def test_the_card_says_where_the_weights_came_from(model: Model) -> None:
    training = model.card.training
    assert training.images + training.calibration_images == 32
    assert training.validation_is_calibration
    assert training.iterations == 24
    assert training.ended == "iterations"
    assert model.card.architecture["name"] == "conv-dense"
    assert model.card.versions["torch"].startswith("2.13.0")
    assert model.card.milliseconds_per_image is not None


def test_the_threshold_stands_on_the_runtimes_scores_of_held_out_images(model: Model, sample_folder: Path) -> None:
    calibration = model.card.calibration
    samples = open_dataset(sample_folder).train
    scores = {float(score) for score in model.score(load_images(samples, model.card.input))}
    assert set(calibration.scores) <= scores
    assert calibration.method == "tail"
    assert calibration.threshold > max(calibration.scores[:-1])


def test_evaluation_and_line_give_one_score_for_one_file(model: Model, sample_folder: Path, model_file: Path) -> None:
    samples = open_dataset(sample_folder).test
    evaluated = evaluate(model, samples)
    with_two_threads = Model.load(model_file, provider="cpu", threads=2)
    frames = np.stack([imaging.load(sample.path.read_bytes(), model.card.input) for sample in samples])
    scores = np.array([image.score for image in evaluated.images], np.float32)
    np.testing.assert_array_equal(scores, with_two_threads.score(frames))


def test_the_graph_says_alone_what_the_model_says(model: Model, model_file: Path, sample_folder: Path) -> None:
    """A user with onnxruntime and no line of ours gets the same score from the file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model_file), providers=["CPUExecutionProvider"])
    frame = load_image(open_dataset(sample_folder).test[0].path, model.card.input)
    score, anomaly_map, reconstruction, latent = session.run(None, {"frames": frame[None]})
    assert score[0] == pytest.approx(model.score(frame[None])[0], rel=1e-5)
    assert anomaly_map.dtype == latent.dtype == np.float32
    assert reconstruction.shape == (1, *frame.shape)


@pytest.fixture(scope="module")
def unseen(model: Model, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Scores of 180 good parts that the model never saw: float32 [180]."""
    from andon_trainer.sample.render import write_sample

    folder = tmp_path_factory.mktemp("unseen") / "part"
    write_sample(folder, seed=7, train=180, test_good=0, test_defects=0, stream=0)
    return model.score(load_images(open_dataset(folder).train, model.card.input))


def rates_over_splits(scores: np.ndarray, count: int, asked: float) -> list[Rate]:
    """False alarms among the rest where the threshold is set on `count` of good parts' scores, for 300 splits."""
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(300):
        order = rng.permutation(len(scores))
        held_out, tested = scores[order[:count]], scores[order[count:]]
        threshold = calibrate(held_out[~far_out(held_out)], asked).threshold
        rates.append(rate(int((tested > threshold).sum()), len(tested)))
    return rates


@pytest.mark.parametrize(("asked", "most"), [(0.02, 0.02), (0.01, 0.02)])
def test_unseen_good_parts_are_flagged_as_rarely_as_was_asked(unseen: np.ndarray, asked: float, most: float) -> None:
    """120 images count 2 %; 1 % is extrapolated, and scores with heavy tails exceed it up to twice as often."""
    rates = rates_over_splits(unseen, 120, asked)
    assert np.mean([found.share for found in rates]) <= most
    assert np.mean([found.low <= asked <= found.high for found in rates]) >= 0.9


def test_with_too_few_images_the_rate_is_below_what_they_could_have_told(unseen: np.ndarray) -> None:
    """An extrapolation promises no interval; it keeps false alarms rarer than one in the images it stands on."""
    assert np.mean([found.share for found in rates_over_splits(unseen, 60, 0.001)]) <= 1 / 61


@contextmanager
def counting_opened_files(folder: Path) -> Iterator[Counter[Path]]:
    """How often each file below a folder is opened, for as long as this lasts; a hook cannot be taken out again."""
    opened: Counter[Path] = Counter()
    active = True

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if active and event == "open" and str(arguments[0]).startswith(str(folder)):
            opened[Path(str(arguments[0]))] += 1

    sys.addaudithook(count)
    try:
        yield opened
    finally:
        active = False


def part_images(folder: Path, count: int) -> None:
    """Parts 160 pixels wide whose left and right differ, each a little brighter or darker."""
    rng = np.random.default_rng(count)
    folder.mkdir(parents=True)
    for i in range(count):
        picture = np.full((160, 160), 90, np.float32)
        cv2.rectangle(picture, (20, 30), (70, 120), 180, -1)
        cv2.circle(picture, (110, 60), 25, 30, -1)
        picture = picture * rng.uniform(0.8, 1.2) + rng.normal(0, 3, picture.shape)
        cv2.imwrite(str(folder / f"{i}.png"), picture.clip(0, 255).round().astype(np.uint8))


def test_a_fit_reads_each_file_once_and_decodes_it_once_at_each_size(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = own_network(tmp_path_factory.mktemp("encoder") / "own.onnx")
    part_images(tmp_path / "train/good", 12)
    part_images(tmp_path / "test/good", 3)
    part_images(tmp_path / "test/dent", 2)
    (tmp_path / "ground_truth/dent").mkdir(parents=True)
    for i in range(2):
        cv2.imwrite(
            str(tmp_path / f"ground_truth/dent/{i}.png"), cv2.circle(np.zeros((160, 160)), (80, 80), 20, 255, -1)
        )
    decoded: Counter[tuple[bytes, int]] = Counter()
    load = imaging.load

    def counted(data: bytes, spec: InputSpec, *limits: DecodingLimits) -> imaging.Pixels:
        decoded[data, spec.width] += 1
        return load(data, spec, *limits)

    monkeypatch.setattr(imaging, "load", counted)
    monkeypatch.delattr(cv2, "imread")  # opens files without Python's knowledge
    with counting_opened_files(tmp_path) as opened:
        options = FitOptions(iterations=2, batch=2, size="small", encoder=str(encoder), device="cpu", threads=1)
        result = fit(tmp_path, options)
    assert result.model.card.architecture["encoder"] == "own.onnx"
    assert opened == dict.fromkeys((path for path in tmp_path.rglob("*.png")), 1)
    assert result.model.card.input.width == 160
    assert {width for _, width in decoded} == {128, 160}, "the size of textures is tried first"
    assert len(decoded) == 12 + 17
    assert set(decoded.values()) == {1}


def test_card_is_json_in_the_files_metadata(model_file: Path) -> None:
    metadata = {entry.key: entry.value for entry in onnx.load(model_file).metadata_props}
    assert json.loads(metadata[CARD_KEY])["card_version"] == 1


def test_colour_is_learned_as_colour(tmp_path: Path) -> None:
    """Parts in two colours of one brightness: the input has three channels, in RGB order."""
    for i in range(10):
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:, :, 2 if i % 2 else 0] = 200  # OpenCV writes BGR
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
    samples = open_dataset(tmp_path).train
    spec = choose_input(samples, side=64)
    assert spec.channels == 3
    assert load_image(samples[1].path, spec)[0, 0].tolist() == [200, 0, 0]


def test_what_was_learned_from_is_no_test(tmp_path: Path, sample_folder: Path) -> None:
    for name in ("good", "dent"):
        (tmp_path / name).mkdir()
    for path in sorted((sample_folder / "train/good").iterdir())[:12]:
        copy(path, tmp_path / "good")
    copy(sorted((sample_folder / "test/good").iterdir())[0], tmp_path / "dent")
    options = FitOptions(iterations=2, batch=2, size="small", side=64, encoder="none", device="cpu", threads=1)
    fitted = fit(tmp_path, options)
    assert fitted.evaluation is not None
    assert [judged.label for judged in fitted.evaluation.images] == ["dent"]
