"""The exported file: its scores are torch's, and a file is written wholly or not at all."""

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import torch
from andon_monitor.model.file import SCORE
from andon_monitor.model.golden import Golden
from andon_monitor.model.session import Session
from andon_monitor.model.subgraph import extract
from andon_trainer.architecture import Architecture
from andon_trainer.errors import ExportError
from andon_trainer.export.graph import (
    check_parity,
    choose_golden,
    to_onnx,
    torch_scores,
    weights_sha256,
)
from andon_trainer.export.metadata import serialise, set_metadata
from andon_trainer.network.conv_dense import Autoencoder
from andon_trainer.network.encoder import load_encoder
from andon_trainer.network.mask import FrameMask
from andon_trainer.network.onnx_network import constants_of
from andon_trainer.network.registration import fit_registration
from andon_trainer.scoring.detector import Detector
from onnxscript.optimizer import optimize
from torch.export import ExportedProgram

from tests.fixtures.detectors import detector_of
from tests.fixtures.image_networks import own_network
from tests.fixtures.images import label_mask, plates, with_other_content

RNG = np.random.default_rng(0)


def frames(count: int, channels: int = 1, width: int = 96) -> np.ndarray:
    return RNG.integers(0, 256, (count, 64, width, channels), dtype=np.uint8)


def frames_for(detector: Detector, count: int) -> np.ndarray:
    arch = detector.members[0].network.arch
    if detector.registration:
        return plates(count, times=2)
    return frames(count, arch.channels, arch.pooling * arch.width)


@pytest.fixture(
    scope="module",
    params=[
        "grey without memory",
        "colour with memory, masked",
        "registered, masked, encoder",
        "pooled, masked",
        "two networks, encoder",
    ],
)
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    channels = 3 if request.param == "colour with memory, masked" else 1
    torch.manual_seed(0)
    if request.param == "pooled, masked":
        network = Autoencoder(Architecture(32, 64, channels, pooling=2)).eval()
        good = frames(40, width=128)
        mask = FrameMask.fit(good, label_mask(64, 128))
        return detector_of(network, good, frames(12, width=128), texture=True, mask=mask)
    network = Autoencoder(Architecture(64, 96, channels)).eval()
    encoder = load_encoder(str(own_network(tmp_path_factory.mktemp("encoder") / "own.onnx")))
    if request.param == "two networks, encoder":
        other = Autoencoder(network.arch).eval()
        return detector_of([network, other], frames(40), frames(12), texture=False, encoder=encoder)
    if request.param == "registered, masked, encoder":
        several, masked = plates(52, times=2), label_mask(128, 192)
        good, unseen = several[:40], several[40:]
        registration = fit_registration(good, 0, masked)
        assert registration is not None
        mask = FrameMask.fit(registration.apply_to(good), masked)
        network = Autoencoder(Architecture(128, 192, channels)).eval()
        return detector_of(network, good, unseen, False, registration, encoder, mask)
    if request.param == "colour with memory, masked":
        good = frames(110, channels)
        mask = FrameMask.fit(good, label_mask(64, 96))
        return detector_of(network, good, frames(12, channels), texture=False, mask=mask)
    return detector_of(network, frames(40), frames(12), texture=False)


@pytest.fixture(scope="module")
def graph(detector: Detector) -> Iterator[onnx.ModelProto]:
    """Exported from a network that is traced once; see `andon_trainer.export.tracing`."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ExportedProgram, "run_decompositions", None)
        yield to_onnx(detector, frames_for(detector, 1).shape[1:])


def test_every_output_of_the_graph_is_torchs(detector: Detector, graph: onnx.ModelProto) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        batch = frames_for(detector, count)
        score, anomaly_map, reconstruction, latent = session.run(None, {"frames": batch})
        with torch.no_grad():
            expected = [tensor.numpy() for tensor in detector(torch.from_numpy(batch))]
        np.testing.assert_allclose(score, expected[0], rtol=1e-3)
        np.testing.assert_allclose(anomaly_map, expected[1], atol=2e-3)
        assert np.abs(reconstruction.astype(int) - expected[2].astype(int)).max() <= 1
        np.testing.assert_allclose(latent, expected[3], atol=1e-3)
    if detector.mask is not None:  # what is under it changes no bit
        good = frames_for(detector, 3)
        with torch.no_grad():
            prepared = detector.prepare(torch.from_numpy(good))
        hidden = np.broadcast_to(prepared.masked.masked[:, 0].numpy() > 0, good.shape[:3])
        outputs, again = (session.run(None, {"frames": shown}) for shown in (good, with_other_content(good, hidden)))
        assert all(np.array_equal(a, b) for a, b in zip(outputs, again, strict=True))


def test_more_rules_would_not_make_the_graph_smaller(detector: Detector, graph: onnx.ModelProto) -> None:
    """All rules take seconds on a registered detector's graph, which has the most operators.

    They would store weights of fewer bits in single precision again.
    """
    if detector.registration:
        constants = constants_of(graph.graph)
        operators = [node for node in graph.graph.node if node.output[0] not in constants]
        assert len(optimize(graph).graph.node) >= len(operators)


def test_the_reconstruction_comes_from_the_latent_vector_alone(detector: Detector, graph: onnx.ModelProto) -> None:
    import onnxruntime

    decoder = extract(graph.SerializeToString(), "latent", "reconstruction")
    batch = frames_for(detector, 3)
    with torch.no_grad():
        _, _, reconstruction, latent = detector(torch.from_numpy(batch))
    session = onnxruntime.InferenceSession(decoder, providers=["CPUExecutionProvider"])
    (decoded,) = session.run(None, {"latent": latent.numpy()})
    assert np.abs(decoded.astype(int) - reconstruction.numpy().astype(int)).max() <= 1


def test_weights_have_one_name_whatever_the_metadata(graph: onnx.ModelProto) -> None:
    copy = onnx.load_from_string(graph.SerializeToString())
    set_metadata(copy, "andon.card", "{}")
    assert weights_sha256(copy) == weights_sha256(graph)
    copy.graph.initializer[0].raw_data = bytes(len(copy.graph.initializer[0].raw_data))
    assert weights_sha256(copy) != weights_sha256(graph)


def test_golden_frames_are_good_and_corrupted_ones_with_torchs_scores(detector: Detector) -> None:
    good = frames_for(detector, 6)
    golden = choose_golden(detector, good)
    assert (golden.frames[:2] == good[:2]).all()
    assert not any((frame == other).all() for frame in golden.frames[2:] for other in good)
    np.testing.assert_array_equal(golden.scores, torch_scores(detector, golden.frames))
    assert (Golden.unpack(golden.pack(), golden.frames.shape[1:]).frames == golden.frames).all()


def test_parity_refuses_scores_that_differ() -> None:
    reference = np.array([1.0, 2.0], np.float32)
    assert check_parity(reference * np.float32(1 + 2e-5), reference) == pytest.approx(2e-5, rel=0.2)
    near_zero = np.array([1.0, 2.0, 1e-4], np.float32)
    assert check_parity(near_zero + np.float32(2e-5), near_zero) == pytest.approx(2e-5, rel=0.2)
    for wrong in (reference * np.float32(1.001), np.array([1.0, np.nan], np.float32)):
        with pytest.raises(ExportError, match="no model was written"):
            check_parity(wrong, reference)


@pytest.mark.parametrize("learned", [1e-1, 1e-3, 1e-5])
def test_a_network_that_has_hardly_learned_anything_is_as_exact(learned: float) -> None:
    torch.manual_seed(0)
    network = Autoencoder(Architecture(64, 96, 1, components=0)).eval()
    with torch.no_grad():
        network.head.to_logit.weight *= learned  # its logits are all but the same everywhere
    seen = frames(12)
    detector = detector_of(network, frames(40), seen, texture=False)
    model = Session(serialise(to_onnx(detector, seen.shape[1:])), "a network", "cpu", threads=1)
    check_parity(model.run([SCORE], seen)[0], torch_scores(detector, seen))
