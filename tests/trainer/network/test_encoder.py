"""The encoder that comes with Andon, a user's own, and the autoencoder of their features."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from andon_monitor.errors import UsageError
from andon_monitor.model.runtime import onnxruntime
from andon_trainer.network.encoder import BUILT_IN, ENCODER, STRIDES, area_weights, frame_size, load_encoder, resize
from andon_trainer.network.feature_autoencoder import FeatureAutoencoder
from onnx import helper

from tests.fixtures.image_networks import own_network

RNG = np.random.default_rng(0)
SHA256 = "47eb196c4b33a05f42fd47b8bb23a42738feb6ba68acc33627440cf259aec7ce"  # docs/developer/encoder.md names it, too


def test_the_encoder_is_the_one_that_the_documentation_names() -> None:
    content = ENCODER.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256
    assert SHA256 in Path("docs/developer/encoder.md").read_text(encoding="utf-8")
    assert len(content) < 5e6


def test_torch_computes_what_onnxruntime_does() -> None:
    encoder = load_encoder(BUILT_IN)
    assert encoder is not None
    images = RNG.normal(size=(1, 3, 96, 64)).astype(np.float32) * 50
    session = onnxruntime.InferenceSession(str(ENCODER), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"images": images})
    found = encoder.network(torch.from_numpy(images))
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one.numpy(), other, atol=1e-3 * np.abs(other).max())


@pytest.mark.parametrize(
    ("frame", "size"),
    [((64, 64), (128, 128)), ((256, 256), (160, 160)), ((384, 384), (160, 160)), ((256, 640), (96, 256))],
)
def test_frames_of_any_size_are_scaled_to_about_one_area(frame: tuple[int, int], size: tuple[int, int]) -> None:
    assert frame_size(*frame) == size


def test_a_smaller_frame_is_the_mean_of_areas() -> None:
    weights = area_weights(5, 2)
    assert torch.allclose(weights, torch.tensor([[0.4, 0.4, 0.2, 0, 0], [0, 0, 0.2, 0.4, 0.4]]))
    frames = np.random.default_rng(1).random((2, 3, 100, 130), np.float32)
    expected = cv2.resize(frames[1, 2], (80, 48), interpolation=cv2.INTER_AREA)
    assert np.allclose(resize(torch.from_numpy(frames), 48, 80)[1, 2].numpy(), expected, atol=0.05)


def test_an_encoder_of_colours_takes_grey_frames_as_grey_colours() -> None:
    encoder = load_encoder(BUILT_IN)
    assert encoder is not None
    grey = torch.rand(2, 1, 64, 96)
    features = encoder(grey)
    assert features.shape == (2, 768, 8, 12)
    assert torch.allclose(features, encoder(grey.expand(-1, 3, -1, -1)), atol=1e-3)


def test_an_encoder_of_grey_frames_has_one_channel_and_the_same_features_within() -> None:
    colour, grey = load_encoder(BUILT_IN), load_encoder(BUILT_IN, channels=1)
    assert colour is not None
    assert grey is not None
    assert next(each.shape[1] for each in grey.network.buffers() if each.ndim == 4) == 1
    frames = F.avg_pool2d(torch.rand(2, 1, 168, 168, generator=torch.Generator().manual_seed(0)), 9, 1)
    of_colour, of_grey = colour(frames), grey(frames)
    spread = of_colour.std()
    assert (of_grey - of_colour)[:, :, 3:-3, 3:-3].abs().mean() < 0.01 * spread  # further in, the border tells nothing
    assert (of_grey - of_colour).abs().mean() < 0.05 * spread
    assert torch.allclose(grey.in_runtime()(frames), of_grey, atol=1e-4)


def test_an_own_network_becomes_one_of_grey_frames_exactly_where_nothing_is_padded(tmp_path: Path) -> None:
    own = with_metadata(
        own_network(tmp_path / "own.onnx"), "normalisation", '{"mean": [0.1, 0.4, 0.5], "std": [0.2, 0.5, 2]}'
    )
    colour, grey = load_encoder(own), load_encoder(own, channels=1)
    assert colour is not None
    assert grey is not None
    assert (grey.mean.numel(), colour.mean.numel()) == (1, 3)
    frames = torch.rand(1, 1, 128, 128)
    assert torch.allclose(grey(frames)[:, :, 2:, 2:], colour(frames)[:, :, 2:, 2:], atol=1e-4)


def test_a_network_with_two_inputs_is_refused_in_the_same_words_for_grey_frames(tmp_path: Path) -> None:
    path = own_network(tmp_path / "own.onnx")
    model = onnx.load(str(path))
    model.graph.input.append(helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, ["N", 1]))
    onnx.save(model, str(path))
    for channels in (1, 3):
        with pytest.raises(UsageError, match="the network has 2 inputs; give one with images as its only input"):
            load_encoder(with_metadata(path, "layers", '["out2", "out3"]'), channels)


def test_a_network_whose_images_go_elsewhere_stays_one_of_colours(tmp_path: Path) -> None:
    path = own_network(tmp_path / "own.onnx")
    model = onnx.load(str(path))
    model.graph.node.insert(0, helper.make_node("Identity", ["images"], ["same"]))
    model.graph.node[1].input[0] = "same"
    onnx.save(model, str(path))
    encoder = load_encoder(str(path), channels=1)
    assert encoder is not None
    assert encoder.mean.numel() == 3
    assert encoder(torch.rand(1, 1, 64, 64)).shape == (1, 8, 8, 8)


def test_none_is_no_encoder() -> None:
    assert load_encoder("none") is None


def test_layers_of_an_own_network_are_found(tmp_path: Path) -> None:
    encoder = load_encoder(str(own_network(tmp_path / "own.onnx")))
    assert encoder is not None
    assert encoder.network.outputs == ("out2", "out3")
    assert encoder.name == "own.onnx"
    assert encoder(torch.rand(1, 3, 64, 64)).shape == (1, 8, 8, 8)


def with_metadata(path: Path, key: str, value: str) -> str:
    """An ONNX file, with one entry more in its metadata."""
    model = onnx.load(str(path))
    helper.set_model_props(model, {key: value})
    onnx.save(model, str(path))
    return str(path)


def test_layers_and_normalisation_may_be_named(tmp_path: Path) -> None:
    own = own_network(tmp_path / "own.onnx")
    encoder = load_encoder(with_metadata(own, "layers", '["conv1", "out2"]'))
    assert encoder is not None
    assert encoder.network.outputs == ("conv1", "out2")
    assert encoder(torch.rand(1, 1, 64, 64)).shape == (1, 8, 8, 8)
    encoder = load_encoder(with_metadata(own, "normalisation", '{"mean": [0, 0, 0.5], "std": [1, 1, 2]}'))
    assert encoder is not None
    assert (encoder.mean.flatten().tolist(), encoder.std.flatten().tolist()) == ([0, 0, 0.5], [1, 1, 2])


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("layers", "{", "layers: not JSON"),
        ("layers", '["answer", "none"]', r"layers: give \["),
        ("layers", '["answer"]', "the network has an operation Flatten"),
        ("normalisation", '{"mean": [0, 0, 0], "std": [1, 0, 1]}', r"normalisation: give \{"),
        ("normalisation", "[1, 2]", r"normalisation: give \{"),
    ],
)
def test_metadata_that_cannot_be_used_are_refused(tmp_path: Path, key: str, value: str, words: str) -> None:
    own = own_network(tmp_path / "own.onnx")
    with pytest.raises(UsageError, match=f"own.onnx: .*{words}"):
        load_encoder(with_metadata(own, key, value))


def test_a_network_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its features cannot be computed"):
        load_encoder(str(own_network(tmp_path / "grey.onnx", channels=1)))
    with pytest.raises(UsageError, match="operation Erf; known are Add"):
        load_encoder(str(own_network(tmp_path / "erf.onnx", operation="Erf")))
    with pytest.raises(UsageError, match="no feature maps at an eighth and a sixteenth"):
        load_encoder(str(own_network(tmp_path / "shallow.onnx", strides=len(STRIDES))))
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(UsageError, match=r"text\.onnx: not an ONNX file"):
        load_encoder(str(tmp_path / "text.onnx"))
    with pytest.raises(UsageError, match=r"missing\.onnx: No such file"):
        load_encoder(str(tmp_path / "missing.onnx"))


def test_what_good_parts_never_show_is_not_rebuilt() -> None:
    generator = torch.Generator().manual_seed(0)
    looks = torch.randn(6, 32, 8, 8, generator=generator)

    def parts(count: int) -> torch.Tensor:
        """Mixtures of six looks, and a little noise."""
        mixed = torch.einsum("ni,ifhw->nfhw", torch.randn(count, 6, generator=generator), looks)
        return mixed + 0.05 * torch.randn(count, 32, 8, 8, generator=generator)

    rebuild = FeatureAutoencoder.fit(parts(60), seed=0)
    shown = parts(5)
    shown[:, :, 2, 3] = torch.randn(5, 32, generator=generator) * 3
    error = rebuild(shown)
    assert error.shape == (5, 1, 8, 8)
    assert error.flatten(1).argmax(dim=1).tolist() == [2 * 8 + 3] * 5
    assert torch.equal(FeatureAutoencoder.fit(looks, seed=1).components, FeatureAutoencoder.fit(looks, 1).components)
