import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from andon_monitor.errors import ModelError, UsageError
from andon_monitor.model import session as session_module
from andon_monitor.model.card import CARD_KEY, GOLDEN_KEY
from andon_monitor.model.file import Model
from andon_monitor.model.golden import EXPORT_TOLERANCE, LOAD_TOLERANCE, Golden
from andon_monitor.model.imaging import load
from andon_monitor.model.session import GPU_BATCH_SIZE, padded

from tests.fixtures.small_model import SIDE, SPEC, build_graph, build_model, darkness, draw, encode

FRAMES = np.stack([load(encode(draw(i, defect=i % 3 == 0)), SPEC) for i in range(12)])


def with_field(**changes: Any) -> bytes:
    return build_model(card_json=lambda card: card | changes)


def test_scores_are_what_the_graph_says(model: Model) -> None:
    np.testing.assert_allclose(model.score(FRAMES), darkness(FRAMES), rtol=1e-5)
    assert model.score(FRAMES).dtype == np.float32


def test_scores_do_not_depend_on_batch_or_threads_by_a_single_bit(model_bytes: bytes, model: Model) -> None:
    alone = np.concatenate([model.score(frame[None]) for frame in FRAMES])
    for threads in (1, 2, 3):
        other = Model.from_bytes(model_bytes, "m", "cpu", threads=threads)
        for size in (1, 5, 12):
            together = np.concatenate([other.score(FRAMES[i : i + size]) for i in range(0, 12, size)])
            assert together.tobytes() == alone.tobytes()


def test_an_explanation_has_a_map_a_reconstruction_and_a_latent_vector(model: Model) -> None:
    explanation = model.explain(FRAMES)
    assert explanation.score.tobytes() == model.score(FRAMES).tobytes()
    assert explanation.anomaly_map.shape == (12, SIDE, SIDE)
    assert np.array_equal(explanation.reconstruction, FRAMES)
    assert explanation.latent.shape[0] == 12


@pytest.mark.parametrize(("count", "parts"), [(1, 1), (4, 1), (5, 2), (8, 2)])
def test_padding_fills_the_last_part_with_its_last_frame(count: int, parts: int) -> None:
    filled = padded(FRAMES[:count], 4)
    assert [part.shape[0] for part in filled] == [4] * parts
    assert np.array_equal(np.concatenate(filled)[:count], FRAMES[:count])


@pytest.fixture
def bound(model_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model that runs as on a GPU, calls of one size through a buffer that stays, whose device here is the CPU."""
    monkeypatch.setitem(session_module.DEVICES, "CPUExecutionProvider", "cpu")
    return Model.from_bytes(model_bytes, "m", "cpu")


def test_calls_through_a_bound_buffer_give_the_same_scores(bound: Model, model: Model) -> None:
    assert bound.batched
    assert not model.batched
    for count in (GPU_BATCH_SIZE, 1, 3, 12):
        np.testing.assert_allclose(bound.score(FRAMES[:count]), model.score(FRAMES[:count]), rtol=1e-6)


def test_what_a_bound_call_gave_stays_when_the_buffer_is_used_again(bound: Model, model: Model) -> None:
    first, second = bound.explain(FRAMES[:4]), bound.explain(FRAMES[4:8])
    for given, frames in ((first, FRAMES[:4]), (second, FRAMES[4:8])):
        assert np.array_equal(given.reconstruction, frames)
        np.testing.assert_allclose(given.anomaly_map, model.explain(frames).anomaly_map, rtol=1e-5)


def test_threads_share_a_bound_buffer(bound: Model, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    update = onnxruntime.OrtValue.update_inplace

    def slow(buffer: onnxruntime.OrtValue, rows: Any) -> None:
        update(buffer, rows)
        time.sleep(0.001)  # for another thread to come between

    monkeypatch.setattr(onnxruntime.OrtValue, "update_inplace", slow)
    alone = model.score(FRAMES)
    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(lambda i: bound.score(FRAMES[i : i + 1])[0], [i % 12 for i in range(120)]))
    np.testing.assert_allclose(found, np.tile(alone, 10), rtol=1e-6)


def test_every_provider_but_the_cpu_has_a_device() -> None:
    assert set(session_module.DEVICES) == {
        entry[0][0] for name, entry in session_module.PROVIDERS.items() if name != "cpu"
    }


def test_a_provider_that_is_not_the_one_asked_for_is_noticed(model_bytes: bytes) -> None:
    assert "CUDAExecutionProvider" not in onnxruntime.get_available_providers()
    assert Model.from_bytes(model_bytes, "m", "cuda").fell_back
    assert not Model.from_bytes(model_bytes, "m", "cpu").fell_back
    assert not Model.from_bytes(model_bytes, "m", "auto").fell_back


def test_an_unknown_provider_is_refused(model_bytes: bytes) -> None:
    with pytest.raises(UsageError, match="provider gpu: unknown; choose auto, cpu, cuda, tensorrt"):
        Model.from_bytes(model_bytes, "m", "gpu")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "not a readable ONNX file"),
        (lambda: b"no model at all", "not a readable ONNX file"),
        (lambda: build_model()[:-2000], "not a readable ONNX file|model card|golden"),
        (lambda: build_model()[:300], "not a readable ONNX file"),
        (lambda: build_graph().SerializeToString(), "without a model card"),
        (lambda: build_model(metadata=lambda parts: {CARD_KEY: parts[CARD_KEY]}), "without a model card"),
        (lambda: with_field(card_version=99), "model card version 99, this program reads version 1; update andon"),
        (lambda: build_model(card_json=lambda card: "no card"), "its model card is damaged; export the model again"),
        (lambda: with_field(calibration={}), r"its model card is damaged at calibration\.threshold: Field required"),
        (lambda: with_field(surprise=1), "its model card is damaged at surprise"),
        (lambda: with_field(input={"height": 64, "width": 64, "channels": 3}), "golden frames are damaged .*64, 64, 3"),
        (lambda: build_model(metadata=lambda parts: parts | {GOLDEN_KEY: "AAAA"}), "golden frames are damaged"),
        (lambda: build_model(golden=lambda g: Golden(g.frames, g.scores * 1.01)), "differ by 9.9e-03 on this machine"),
        (
            lambda: build_model(golden=lambda g: Golden(g.frames, g.scores * np.nan)),
            "a score is not finite",
        ),
        (lambda: build_model(golden=lambda g: Golden(g.frames[:, :8], g.scores)), "golden frames are damaged"),
    ],
)
def test_a_damaged_or_unknown_file_is_refused_in_one_line(content: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Model.from_bytes(content(), "part.onnx", "cpu")
    assert str(caught.value).startswith("part.onnx: ")
    assert "\n" not in str(caught.value)


def test_golden_scores_may_differ_as_processors_do() -> None:
    Model.from_bytes(build_model(golden=lambda g: Golden(g.frames, g.scores * np.float32(1 + 5e-5))), "m", "cpu")


def test_a_missing_file_and_a_folder_are_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model file"):
        Model.load(tmp_path / "part.onnx")
    with pytest.raises(UsageError, match="cannot be read"):
        Model.load(tmp_path)


def test_the_card_and_the_hash_are_the_files(model_path: Path) -> None:
    model = Model.load(model_path, "cpu", threads=1)
    assert model.card.input == SPEC
    assert model.card.threshold == model.card.calibration.threshold
    assert len(model.sha256) == 64
    assert json.loads(onnx.load(model_path).metadata_props[0].value)["name"] == "darkness"


def test_a_graph_with_other_outputs_is_refused() -> None:
    content = onnx.load_from_string(build_model())
    del content.graph.output[3]
    with pytest.raises(ModelError, match="do not fit its card"):
        Model.from_bytes(content.SerializeToString(), "part.onnx", "cpu")


def test_golden_frames_survive_packing() -> None:
    golden = Golden(FRAMES, darkness(FRAMES))
    again = Golden.unpack(golden.pack(), FRAMES.shape[1:])
    assert np.array_equal(again.frames, golden.frames)
    assert again.worst_difference(golden.scores) == 0


def test_the_tolerance_at_load_is_looser_than_at_export() -> None:
    assert EXPORT_TOLERANCE < LOAD_TOLERANCE
