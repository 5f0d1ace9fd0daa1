"""Kinds of defects: the encoder comes back as it was, a head learns kinds, and the file and the monitor tell them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame, Position
from andon_monitor.inspection.inspector import Inspection, Inspector, Rules
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.file import Model
from andon_monitor.telemetry.metrics import Metrics
from andon_trainer.uses import learner as learning
from andon_trainer.uses.certainty import calibration_error, fit_temperature
from andon_trainer.uses.classification import fit_classifier
from andon_trainer.uses.classifier_graph import add_classifier, max_difference
from andon_trainer.uses.encoder import Backbone, Views, flip
from andon_trainer.uses.learner import LabelledDefects, Learner, fit_head, label_defects
from andon_trainer.uses.learning_curve import draw_shots, folds, measure_learning_curve, split

EACH = 12


@pytest.fixture(scope="module")
def part(model_file: Path) -> Autoencoder:
    return Autoencoder.load(model_file, "cpu")


@pytest.fixture(scope="module")
def data(part: Autoencoder, sample_folder: Path) -> LabelledDefects:
    """Good parts with a bright blob, a dark bar or a coarse checker on them: three kinds that anybody can tell."""
    rng = np.random.default_rng(0)
    paths = sorted((sample_folder / "train/good").iterdir())
    frames, labels = [], []
    for i in range(3 * EACH):
        frame = part.read(paths[i % len(paths)]).copy()
        x, y = (int(value) for value in rng.integers(20, 70, 2))
        kind = ("blob", "bar", "checker")[i % 3]
        if kind == "blob":
            cv2.circle(frame, (x, y), 9, 255, -1)
        elif kind == "bar":
            frame[y : y + 4, x - 18 : x + 18] = 0
        else:
            frame[y : y + 16, x : x + 16] = 255 * (np.indices((16, 16)).sum(axis=0) // 2 % 2)[:, :, None]
        frames.append(frame)
        labels.append(kind)
    return label_defects(part, np.stack(frames), labels, np.arange(3 * EACH))


@pytest.fixture(scope="module")
def learner(part: Autoencoder, data: LabelledDefects) -> Learner:
    return Learner(part, data, data.reconstructions)


def test_the_encoder_comes_back_from_the_file_as_it_was(part: Autoencoder, data: LabelledDefects) -> None:
    """Its last features, through the file's own dense layer, are the file's own latent vector."""
    import onnx
    from andon_trainer.network.onnx_network import constants_of

    graph = onnx.load_from_string(part.model.content).graph
    weights = {name: value.numpy() for name, value in constants_of(graph).items()}
    from andon_trainer.network.registration import warp
    from andon_trainer.network.tensors import normalise, to_unit

    encoded = part.encode(data.frames[:4])
    assert part.card.architecture["registered"], "frames reach the encoder in the pose that the latent vector tells"
    with torch.no_grad():
        x = warp(to_unit(torch.from_numpy(data.frames[:4])), torch.from_numpy(encoded[:, 2:6]))
        last = Backbone.of(part).encoder(normalise(x)[0])[-1].numpy()
    squeeze = weights["members.0.network.bottleneck.squeeze.0.weight"][:, :, 0, 0]
    narrow = np.maximum(
        np.einsum("oc,nchw->nohw", squeeze, last)
        + weights["members.0.network.bottleneck.squeeze.0.bias"][:, None, None],
        0,
    )
    dense = weights["members.0.network.bottleneck.encode.weight"]
    latent = np.einsum("dchw,nchw->nd", dense, narrow) + weights["members.0.network.bottleneck.encode.bias"]
    np.testing.assert_allclose(latent, encoded[:, -len(dense) :], rtol=1e-2, atol=2e-3)


def test_a_frozen_head_tells_kinds_and_the_monitor_says_and_counts_them(
    part: Autoencoder, data: LabelledDefects, learner: Learner
) -> None:
    fitted = fit_classifier(learner, "frozen")
    assert fitted.kinds.accuracy > 0.7
    assert fitted.confusion.sum() == len(data.kinds)
    assert fitted.kinds.temperature > 0
    content = add_classifier(part, fitted.classifier, fitted.kinds)
    assert max_difference(fitted.classifier, content, data.frames[:3]) < 1e-4
    model = Model.from_bytes(content, "kinds.onnx", "cpu")
    assert model.kinds == ("bar", "blob", "checker")
    assert np.array_equal(model.score(data.frames[:3]), part.score(data.frames[:3])), "scores stay as they are"
    assert model.classify(data.frames[:3]).sum(axis=1) == pytest.approx(1, abs=1e-5)

    metrics = Metrics()
    rules = Rules(thresholds={"station-1": -1e9}, too_dark=0, too_blurred=0)  # every part is called a defect
    inspector = Inspector(model, rules)
    metrics.use_model(inspector)
    for i, frame in enumerate(data.frames[:6]):
        _, png = cv2.imencode(".png", cv2.resize(frame, model.card.input.frame_size))
        prepared = inspector.prepare(Frame("station-1", i, png.tobytes(), Position("t", "f", 0, i)))
        metrics.received(prepared.frame, inspector)
        (verdict,) = inspector.inspect([prepared])
        assert f'"kind": {{"name": "{verdict.kind}", "probability": {verdict.kind_probability}' in verdict.to_json()
        metrics.delivered([Inspection(prepared, verdict)], True, 0.0, 0.0)
    counts = {
        sample.labels["kind"]: sample.value
        for family in metrics.registry.collect()
        if family.name == "andon_defect_kinds"
        for sample in family.samples
    }
    assert set(counts) == set(model.kinds), "all are there from the start"
    assert sum(counts.values()) == 6

    again = add_classifier(Autoencoder(model, "cpu"), fitted.classifier, fitted.kinds)
    assert abs(len(again) - len(content)) < 1000, "a new classifier takes the old one's place"


def test_a_good_part_has_no_kind(part: Autoencoder, sample_folder: Path) -> None:
    inspector = Inspector(part.model, Rules(thresholds={"c": 1e9}))
    data = next((sample_folder / "test/good").iterdir()).read_bytes()
    (verdict,) = inspector.inspect([inspector.prepare(Frame("c", 0, data, Position("t", "f", 0, 0)))])
    assert verdict.kind is None
    assert "kind" not in verdict.to_json()


def test_fine_tuning_fits_its_images_and_leaves_the_first_stages_as_they_were(
    part: Autoencoder, data: LabelledDefects, learner: Learner
) -> None:
    chosen = np.arange(12)
    network = learner.fine_tuned(chosen, seed=0)
    assert (learner.predictor(network)(chosen).argmax(axis=1) == data.kinds[chosen]).mean() > 0.9
    before, after = (
        [torch.cat([p.detach().flatten() for p in stage.parameters()]) for stage in backbone.encoder.stages]
        for backbone in (Backbone.of(part), network.backbone)
    )
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [True] * 3 + [False] * 2


def test_the_curve_has_every_method_at_every_number_of_labels(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "FROM_SCRATCH", (3, 1e-3))  # the others are quick
    shown: list[str] = []
    curve = measure_learning_curve(learner, draws=2, progress=lambda what, share: shown.append(what))
    assert curve.shots == ("1", "5", "all")
    assert list(curve.accuracy) == ["frozen", "fine-tuned", "untrained", "PCA"]
    assert {values.shape for values in curve.accuracy.values()} == {(2, 3)}
    assert len(shown) == 2 * 3 * 4
    assert curve.accuracy["frozen"][:, -1].mean() > 0.6


def test_flipped_images_are_four_and_each_is_its_own_reverse(data: LabelledDefects) -> None:
    frames = data.frames[:2]
    views = [flip(frames, view).numpy() for view in range(Views.COUNT)]
    assert np.array_equal(views[0], frames)
    assert len({view.tobytes() for view in views}) == 4
    assert all(np.array_equal(flip(view, i).numpy(), frames) for i, view in enumerate(views))


def test_splits_and_folds_keep_images_of_a_part_together_and_every_kind_on_both_sides(data: LabelledDefects) -> None:
    groups = np.arange(3 * EACH) // 6 * 3 + np.arange(3 * EACH) % 3
    grouped = replace(data, groups=groups)
    train, test = split(grouped, np.random.default_rng(0))
    assert not set(grouped.groups[train]) & set(grouped.groups[test])
    assert set(grouped.kinds[train]) == set(grouped.kinds[test]) == {0, 1, 2}
    assert sorted([*train, *test]) == list(range(3 * EACH))
    fold_of = folds(grouped)
    assert all(len(set(fold_of[grouped.groups == group])) == 1 for group in set(grouped.groups))
    shots = draw_shots(grouped.kinds, train, 2, np.random.default_rng(0))
    assert np.bincount(grouped.kinds[shots]).tolist() == [2, 2, 2]


def test_two_kinds_have_two_logits() -> None:
    rng = np.random.default_rng(0)
    kinds = np.arange(40) % 2
    features = (rng.normal(size=(40, 5)) + 3 * kinds[:, None]).astype(np.float32)
    with torch.no_grad():
        logits = fit_head(features, kinds)(torch.from_numpy(features)).numpy()
    assert logits.shape == (40, 2)
    assert (logits.argmax(axis=1) == kinds).all()


def test_a_temperature_makes_an_overconfident_classifier_honest() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, (4000, 4))
    probabilities = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    kinds = np.array([rng.choice(4, p=row) for row in probabilities])
    loud = (3 * true).astype(np.float32)
    assert fit_temperature(loud, kinds) == pytest.approx(3, rel=0.1)
    assert calibration_error(loud, kinds, 3.0) < 0.03 < 0.15 < calibration_error(loud, kinds)


def test_a_kind_may_have_fewer_parts_than_there_are_folds(part: Autoencoder, data: LabelledDefects) -> None:
    two_of_each = replace(data, groups=data.kinds + 3 * (np.arange(3 * EACH) // (3 * EACH // 2)))
    fitted = fit_classifier(Learner(part, two_of_each, data.reconstructions), "frozen")
    assert fitted.confusion.sum() == 3 * EACH


def test_too_few_images_or_kinds_are_named(part: Autoencoder) -> None:
    frames = np.zeros((9, 8, 8, 1), np.uint8)
    with pytest.raises(UsageError, match="dent: 2 images, at least 4"):
        label_defects(part, frames, ["dent"] * 2 + ["scratch"] * 7, np.arange(9))
    with pytest.raises(UsageError, match="at least two are needed"):
        label_defects(part, frames, ["dent"] * 9, np.arange(9))


def test_features_of_a_frame_do_not_depend_on_its_batch(part: Autoencoder, data: LabelledDefects) -> None:
    backbone = Backbone.of(part)
    frames, rebuilt = flip(data.frames[:5], 0), flip(data.reconstructions[:5], 0)
    with torch.no_grad():
        together, alone = backbone(frames, rebuilt)[2], backbone(frames[2:3], rebuilt[2:3])[0]
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=1e-4)


def test_a_frame_that_is_as_the_model_expects_has_no_features(part: Autoencoder, data: LabelledDefects) -> None:
    rebuilt = flip(data.reconstructions[:2], 0)
    with torch.no_grad():
        assert Backbone.of(part)(rebuilt, rebuilt).abs().max() == 0
