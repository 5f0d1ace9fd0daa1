"""From a folder of good parts to a model file and back: one score for one file, wherever it is asked for."""

import json
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import onnx
import pytest
import torch

from monitor import imaging
from monitor.calibration import calibrate
from monitor.card import CARD_KEY
from monitor.model import Model
from monitor.rates import Rate, rate
from trainer import building, export
from trainer.architecture import Architecture
from trainer.audit import far_out
from trainer.building import (
    STEPS_EACH,
    BuildOptions,
    Trained,
    build,
    networks_within_budget,
    recalibrate,
    scores_of_unseen,
    spread,
)
from trainer.course import FitOptions, Fitted
from trainer.dataset import choose_input, common_to, load_image, load_images, open_dataset, splits
from trainer.errors import FittingError
from trainer.evaluation import evaluate
from trainer.network import Autoencoder
from trainer.scoring import Detector, build_member


@pytest.fixture(scope="module")
def model(model_file: Path) -> Model:
    return Model.load(model_file, provider="cpu")


def test_the_card_says_where_the_weights_came_from(model: Model) -> None:
    training = model.card.training
    assert training.images + training.calibration_images == 32
    assert training.validation_is_calibration
    assert training.iterations == 40
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


def test_recalibration_changes_the_threshold_and_nothing_that_scores(model_file: Path, tmp_path: Path) -> None:
    before = Model.load(model_file)
    good = tmp_path / "good"
    from trainer.sample.render import write_sample

    write_sample(good, seed=5, train=30, test_good=0, test_defects=0, stream=0)
    content = recalibrate(model_file, open_dataset(good), 0.1)
    after = Model.from_bytes(content, "recalibrated")
    assert after.card.calibration.method == "conformal"
    assert after.card.calibration.count == 30
    assert after.card.weights_sha256 == before.card.weights_sha256
    assert after.sha256 != before.sha256
    frames = load_images(open_dataset(good).train, after.card.input)
    np.testing.assert_array_equal(after.score(frames), before.score(frames))
    assert (after.score(frames) > after.card.threshold).sum() == 2  # ceil(31 * 0.9) = 28th of 30, so two lie above


@pytest.fixture(scope="module")
def unseen(model: Model, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Scores of 180 good parts that the model never saw: float32 [180]."""
    from trainer.sample.render import write_sample

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


@pytest.mark.parametrize("asked", [0.02, 0.01])
def test_unseen_good_parts_are_flagged_as_rarely_as_was_asked(unseen: np.ndarray, asked: float) -> None:
    rates = rates_over_splits(unseen, 120, asked)
    assert np.mean([found.share for found in rates]) <= asked
    assert np.mean([found.low <= asked <= found.high for found in rates]) >= 0.9


def test_with_too_few_images_the_rate_is_below_what_they_could_have_told(unseen: np.ndarray) -> None:
    """An extrapolation promises no interval; it keeps false alarms rarer than one in the images it stands on."""
    assert np.mean([found.share for found in rates_over_splits(unseen, 60, 0.001)]) <= 1 / 61


def test_card_is_json_in_the_files_metadata(model_file: Path) -> None:
    metadata = {entry.key: entry.value for entry in onnx.load(model_file).metadata_props}
    assert json.loads(metadata[CARD_KEY])["card_version"] == 1


def test_spread_is_mean_deviation_and_range() -> None:
    result = spread([1.0, 2.0, 3.0])
    assert (result.mean, result.lowest, result.highest) == (2.0, 1.0, 3.0)
    assert result.std == pytest.approx((2 / 3) ** 0.5)


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


TWO = BuildOptions("two", false_alarm_rate=0.1, side=64, networks=2, fit=FitOptions(iterations=32, batch=4))


def test_of_two_networks_each_tells_the_threshold_what_images_score_that_it_did_not_see(sample_folder: Path) -> None:
    dataset = open_dataset(sample_folder)
    built = build(dataset, TWO)
    training, calibration = built.model.card.training, built.model.card.calibration
    assert (training.networks, training.images, training.iterations) == (2, 32, 32)
    assert 12 <= training.calibration_images == calibration.count == len(built.held_out) <= 16
    assert len(built.fitted.kept) == 2
    assert built.fitted.looks[-1].iteration == 32
    together = built.model.score(built.held_out)
    assert not set(calibration.scores) & {float(score) for score in together}
    assert np.corrcoef(np.sort(together), np.sort(calibration.scores))[0, 1] > 0.8
    assert built.evaluation is not None


def test_what_one_network_says_is_put_where_the_mean_of_all_would_be() -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (240, 64, 64, 1), dtype=np.uint8)
    parts = splits(np.arange(240), seed=0, count=3)
    networks = [Autoencoder(Architecture(64, 64, 1, components=0)).eval() for _ in parts]
    members = [
        build_member(network, images[part.train], images[part.calibration], texture=True, seed=0)
        for network, part in zip(networks, parts, strict=True)
    ]
    detector, *alone = (Detector(some).eval() for some in (members, *([member] for member in members)))
    fitted = Fitted(networks[0])
    trained = Trained(detector, parts, tuple(alone), fitted, {})
    found = scores_of_unseen(trained, export.to_onnx(detector, (64, 64, 1)), images)

    common, apart = common_to(parts), [np.setdiff1d(part.calibration, common_to(parts)) for part in parts]
    assert np.isnan(found).sum() == 240 - len(common) - sum(map(len, apart))
    together = export.torch_scores(detector, images[common])
    np.testing.assert_allclose(found[common], together, rtol=1e-4)
    each = [export.torch_scores(one, images) for one in alone]
    singles = np.concatenate([scores[common] for scores in each])
    assert together.std() < 0.9 * singles.std()
    for scores, own in zip(each, apart, strict=True):
        expected = together.mean() + (scores[own] - singles.mean()) * together.std() / singles.std()
        np.testing.assert_allclose(found[own], expected, rtol=1e-4)


def test_no_network_is_trained_when_the_time_is_over(sample_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "RESERVED_FOR_ANOTHER", 10_000.0)
    with pytest.raises(FittingError, match="too short"):
        build(open_dataset(sample_folder), TWO)


def test_an_interrupted_second_network_leaves_the_first(sample_folder: Path) -> None:
    interrupted = Event()

    def interrupt(what: str, share: float) -> None:
        if what.startswith("training network 2 of 2"):
            interrupted.set()

    card = build(open_dataset(sample_folder), TWO, interrupt, interrupted).model.card
    assert card.training.networks == 1
    assert card.training.images + card.training.calibration_images == 32


@pytest.mark.parametrize(
    ("iterations", "budget", "seconds", "networks"),
    [
        (9 * STEPS_EACH, 600.0, 0.06, 3),
        (9 * STEPS_EACH, 600.0, 0.25, 2),
        (9 * STEPS_EACH, 600.0, 0.6, 1),
        (9 * STEPS_EACH, 600.0, 60.0, 1),
        (2 * STEPS_EACH, 600.0, 0.06, 2),
        (2 * STEPS_EACH - 1, 600.0, 0.06, 1),
    ],
)
def test_as_many_networks_are_trained_as_the_budget_is_enough_for(
    iterations: int, budget: float, seconds: float, networks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "seconds_per_step", lambda arch, options: seconds)
    options = FitOptions(iterations=iterations, budget=budget)
    assert networks_within_budget(Architecture(64, 64, 1), options, lambda what, share: None) == networks
