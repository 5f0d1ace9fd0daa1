"""Golden frames: their sizes are checked before anything is decompressed, and their outcomes hold on this machine."""

import base64
import io
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from andon_monitor.errors import ModelError
from andon_monitor.model.card import GOLDEN_KEY, MAX_GOLDEN_FRAMES
from andon_monitor.model.file import Model
from andon_monitor.model.golden import Golden, judge, wrong_outcome

from tests.fixtures.small_model import SIDE, build_model, with_threshold

SHAPE = (SIDE, SIDE, 1)
FRAMES = np.zeros((4, *SHAPE), np.uint8)
SCORES = np.arange(4, dtype=np.float32)


def npz(method: int = zipfile.ZIP_DEFLATED, **arrays: Any) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, array in arrays.items():
            data = io.BytesIO()
            np.save(data, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", array if isinstance(array, bytes) else data.getvalue())
    return base64.b64encode(buffer.getvalue()).decode()


def header(shape: str, size: int, dtype: str = "|u1") -> bytes:
    """An npy file with this header and `size` zeros."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(size)


@pytest.mark.parametrize(
    "made",
    [
        partial(str, ""),
        partial(str, "AAAA"),
        partial(str, "*"),
        partial(str, "é"),
        partial(npz, frames=FRAMES),
        partial(npz, frames=FRAMES, scores=SCORES, more=SCORES),
        partial(npz, frames=FRAMES, scores=SCORES[:3]),
        partial(npz, frames=FRAMES, scores=np.arange(40, dtype=np.float32)),
        partial(npz, frames=FRAMES[:0], scores=SCORES[:0]),
        partial(npz, frames=FRAMES[:, :8], scores=SCORES),
        partial(npz, frames=FRAMES.astype(np.float32), scores=SCORES),
        partial(npz, frames=FRAMES, scores=SCORES.astype(np.float64)),
        partial(npz, frames=FRAMES, scores=SCORES * np.nan),
        partial(npz, frames=FRAMES, scores=SCORES + np.inf),
        partial(npz, frames=np.asfortranarray(np.zeros((4, 32, 32, 1), np.uint8)[:, :, :, 0]), scores=SCORES),
        partial(npz, frames=FRAMES, scores=np.array([{}] * 4, object)),
        partial(npz, frames=np.zeros((100, *SHAPE), np.uint8), scores=np.zeros(100, np.float32)),
        partial(npz, frames=np.zeros(300_000_000, np.uint8), scores=SCORES),
        partial(npz, zipfile.ZIP_LZMA, frames=FRAMES, scores=SCORES),
        partial(npz, zipfile.ZIP_BZIP2, frames=FRAMES, scores=SCORES),
        partial(npz, frames=header("(1099511627776, 32, 32, 1)", 100), scores=SCORES),
        partial(npz, frames=header("(-4, 32, 32, 1)", 100), scores=SCORES),
        partial(npz, frames=header("(4, 32, 32, 1)", 100), scores=SCORES),
        partial(npz, frames=header("(" * 90, 100), scores=SCORES),
        partial(npz, frames=b"no array", scores=SCORES),
    ],
)
def test_other_golden_frames_are_refused_in_one_line_and_cost_little(made: Callable[[], str]) -> None:
    text = made()
    with pytest.raises(ValueError, match=r".") as caught:
        Golden.unpack(text, SHAPE)
    assert not isinstance(caught.value, UnicodeError)
    with pytest.raises(ModelError, match="golden frames are damaged") as refused:
        Model.from_bytes(build_model(metadata=lambda parts: parts | {GOLDEN_KEY: text}), "part.onnx", "cpu")
    assert str(refused.value).isprintable()


def test_a_declared_size_is_not_believed() -> None:
    """50 MB of zeros whose entry in the ZIP says 4 kB."""
    data = bytearray(base64.b64decode(npz(frames=header("(4, 32, 32, 1)", 50_000_000), scores=SCORES)))
    real = (50_000_128).to_bytes(4, "little")
    while real in data:
        place = data.index(real)
        data[place : place + 4] = (4096 + 128).to_bytes(4, "little")
    with pytest.raises(ValueError, match=r"CRC|size"):
        Golden.unpack(base64.b64encode(bytes(data)).decode(), SHAPE)


def test_as_many_as_are_allowed_survive_packing() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (MAX_GOLDEN_FRAMES, *SHAPE), np.uint8)
    golden = Golden(frames, np.arange(MAX_GOLDEN_FRAMES, dtype=np.float32))
    again = Golden.unpack(golden.pack(), SHAPE)
    assert np.array_equal(again.frames, frames)
    assert np.array_equal(again.scores, golden.scores)


def test_recorded_outcomes_hold_but_for_scores_as_near_as_processors_differ() -> None:
    scores = np.array([0.5, 0.9995, 1.0005, 2.0], np.float32)
    assert judge(scores, 1.0) == ("good", "good", "defect", "defect")
    assert wrong_outcome(scores, 1.0, ("good", "defect", "good", "defect")) is None
    assert wrong_outcome(scores, 1.0, ("defect", "good", "defect", "defect")) == (
        "golden frame 1 is good by its threshold, its card says defect"
    )
    assert wrong_outcome(scores, 1.0, ("good",)) == "its card records 1 outcomes of 4 golden frames"


def test_without_recorded_outcomes_one_of_the_good_parts_must_be_good() -> None:
    scores = np.array([0.5, 0.9, 3.0, 4.0], np.float32)
    assert wrong_outcome(scores, 1.0, None) is None
    assert wrong_outcome(scores, 0.7, None) is None
    assert wrong_outcome(scores, 0.1, None) == "its golden good parts are defects by its threshold"


def test_a_file_of_an_earlier_version_is_read() -> None:
    model = Model.from_bytes(build_model(record_outcomes=False), "part.onnx", "cpu")
    assert model.card.golden_outcomes is None
    assert model.golden_outcomes == ("good",) * 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: with_threshold(card, 0.1) | {"golden_outcomes": None}, "good parts are defects by its threshold"),
        (lambda card: with_threshold(card, 0.1) | {"golden_outcomes": ["good"] * 4}, "golden frame 1 is defect"),
        (lambda card: with_threshold(card, 9.0) | {"golden_outcomes": ["defect"] * 4}, "golden frame 1 is good"),
        (lambda card: card | {"golden_outcomes": ["good"] * 5}, "records 5 outcomes of 4 golden frames"),
        (lambda card: card | {"golden_outcomes": []}, "records 0 outcomes of 4 golden frames"),
        (lambda card: brighter(card), "golden frame 1 is far less sharp than its card's reference"),
    ],
)
def test_a_threshold_or_reference_moved_with_all_that_goes_with_it_is_still_refused(change: Any, said: str) -> None:
    with pytest.raises(ModelError, match=f"self-test failed: .*{said}.*calibrate the model again"):
        Model.from_bytes(build_model(card_json=change, record_outcomes=False), "part.onnx", "cpu")


def brighter(card: dict[str, Any]) -> dict[str, Any]:
    """Every frame of the line would be too blurred to inspect."""
    sharpness = {"mean": 1e9, "std": 0.0, "lowest": 1e9, "highest": 1e9}
    return card | {"reference": card["reference"] | {"sharpness": sharpness}}
