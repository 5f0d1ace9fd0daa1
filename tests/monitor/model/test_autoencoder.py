"""The model file as an autoencoder: its halves, cut out of one graph, are the whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from andon_monitor.errors import ModelError, UsageError
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.file import Model
from andon_monitor.model.heatmap import heatmap
from andon_monitor.model.subgraph import extract
from onnx import TensorProto, helper


@pytest.fixture(scope="module")
def part(model_file: Path) -> Autoencoder:
    return Autoencoder.load(model_file, "cpu")


@pytest.fixture(scope="module")
def frames(part: Autoencoder, sample_folder: Path) -> np.ndarray:
    return np.stack([part.read(path) for path in sorted((sample_folder / "test").rglob("*.*"))[:6]])


def test_decoding_what_was_encoded_is_the_models_reconstruction(part: Autoencoder, frames: np.ndarray) -> None:
    whole = part.model.explain(frames)
    latent = part.encode(frames)
    assert latent.dtype == np.float32
    assert latent.shape == (len(frames), part.latent_size)
    np.testing.assert_allclose(latent, whole.latent, rtol=1e-4, atol=1e-4)
    picture = part.decode(latent)
    assert picture.dtype == np.uint8
    assert np.abs(picture.astype(int) - whole.reconstruction).max() <= 1
    assert np.array_equal(part.reconstruct(frames), picture)


def test_the_first_two_of_the_latent_vector_are_brightness_and_contrast(part: Autoencoder, frames: np.ndarray) -> None:
    latent = part.encode(frames)
    assert latent[:, 0] == pytest.approx(frames.mean(axis=(1, 2, 3)) / 255, abs=1e-3)
    brighter = latent.copy()
    brighter[:, 0] += 0.05
    assert part.decode(brighter).mean() > part.decode(latent).mean() + 8


def test_scores_and_heatmaps_are_the_models(part: Autoencoder, frames: np.ndarray) -> None:
    assert np.array_equal(part.score(frames), part.model.score(frames))
    explained = part.explain(frames)
    assert np.array_equal(explained.score, part.score(frames))
    assert explained.heatmap.shape == (*frames.shape[:3], 3)
    over_first = heatmap(frames[0], explained.anomaly_map[0], part.card.threshold)
    assert np.array_equal(explained.heatmap[0], over_first)


def test_a_wrong_array_is_told_what_would_be_right(part: Autoencoder, frames: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"float64 \(6, .*right is uint8 \(N, 96, "):
        part.encode(frames / 255)
    with pytest.raises(UsageError, match=r"\(2, 3\): right is \(N, \d+\)"):
        part.decode(np.zeros((2, 3)))
    with pytest.raises(UsageError, match=r"nowhere.png: cannot be read"):
        part.read(tmp_path / "nowhere.png")


def test_a_graph_whose_reconstruction_goes_past_the_latent_vector_is_refused(model_bytes: bytes) -> None:
    part = Autoencoder(Model.from_bytes(model_bytes, "test.onnx", "cpu"), "cpu")
    with pytest.raises(
        ModelError, match=r"test.onnx: encoder and decoder cannot be extracted \(reconstruction depends on frames"
    ):
        part.decode(np.zeros((1, 32), np.float32))


def test_a_part_of_a_graph_holds_what_it_needs_and_nothing_else() -> None:
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["y"]),
        helper.make_node("Add", ["y", "one"], ["z"]),
        helper.make_node("Sub", ["y", "three"], ["w"]),
    ]
    numbers = [helper.make_tensor(name, TensorProto.FLOAT, [], [i + 1.0]) for i, name in enumerate(("one", "two"))]
    numbers.append(helper.make_tensor("three", TensorProto.FLOAT, [], [3.0]))
    ends = [value(name, TensorProto.FLOAT, ["N"]) for name in "xyzw"]
    whole = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], numbers))
    part = onnx.load_from_string(extract(whole.SerializeToString(), "y", "z"))
    onnx.checker.check_model(part)
    assert [node.op_type for node in part.graph.node] == ["Add"]
    assert [tensor.name for tensor in part.graph.initializer] == ["one"]
    assert [end.name for end in (*part.graph.input, *part.graph.output)] == ["y", "z"]
    with pytest.raises(ValueError, match="y depends on x, not on z alone"):
        extract(whole.SerializeToString(), "z", "y")


def test_it_needs_no_torch(model_file: Path) -> None:
    code = (
        "import sys; from andon_monitor.model.autoencoder import Autoencoder; "
        f"Autoencoder.load({str(model_file)!r}, 'cpu').latent_size; "
        "assert not {'torch', 'onnx', 'trainer'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
