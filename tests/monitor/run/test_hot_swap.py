"""Files of several models, each watched on its own. A swap on the live line is tested with Kafka."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.recipes.library import Library
from andon_monitor.run.hot_swap import Swapper
from andon_monitor.settings.groups import Settings
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.commands import PATIENCE
from tests.fixtures.small_model import build_model, draw, encode, make_frame, with_threshold

PRODUCTS = ("bottle", "cap")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good model and a file that is none."""
    (tmp_path / "bottle.onnx").write_bytes(build_model())
    (tmp_path / "cap.onnx").write_bytes(b"?")
    return tmp_path


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def library(folder: Path, metrics: Metrics) -> Iterator[Library]:
    rules = [{"product": name, "model": folder / f"{name}.onnx"} for name in PRODUCTS]
    opened = Library.open(Settings(recipes=rules, model={"provider": "cpu"}), metrics)
    swapper = Swapper(opened, 0.01, metrics)
    swapper.start()
    yield opened
    swapper.close()


def threshold(library: Library, product: str) -> float | None:
    """That of the model in use, None where there is none."""
    frame = Frame.of(encode(draw(0)), make_frame(b"").position, "top", 1e9, part={"product": product})
    found = library.find(frame)
    return found.threshold("top") if isinstance(found, Inspector) else None


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def put(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


def test_each_file_is_swapped_and_refused_on_its_own(folder: Path, library: Library, metrics: Metrics) -> None:
    value = metrics.registry.get_sample_value
    usual = threshold(library, "bottle")
    assert (usual is None, threshold(library, "cap")) == (False, None)
    assert value("andon_model_refused", {"model": "cap"}) == 1

    put(folder / "cap.onnx", build_model(card_json=partial(with_threshold, threshold=2.0)))
    until(lambda: threshold(library, "cap") == 2)  # it had no model to go back to, and has one now
    until(lambda: value("andon_model_refused", {"model": "cap"}) == 0)  # metrics follow
    assert threshold(library, "bottle") == usual

    put(folder / "bottle.onnx", b"!")
    until(lambda: value("andon_model_refused", {"model": "bottle"}) == 1)
    assert (threshold(library, "bottle"), threshold(library, "cap")) == (usual, 2)

    put(folder / "bottle.onnx", build_model(card_json=partial(with_threshold, threshold=3.0)))
    until(lambda: threshold(library, "bottle") == 3)
    until(lambda: value("andon_model_swaps_total", {"model": "bottle", "result": "taken"}) == 1)
    assert value("andon_model_swaps_total", {"model": "bottle", "result": "refused"}) == 1
    assert value("andon_model_swaps_total", {"model": "cap", "result": "taken"}) == 1


def test_the_old_file_put_back_is_no_swap(folder: Path, library: Library, metrics: Metrics) -> None:
    value = metrics.registry.get_sample_value
    content = (folder / "bottle.onnx").read_bytes()
    put(folder / "bottle.onnx", b"!")
    until(lambda: value("andon_model_refused", {"model": "bottle"}) == 1)
    put(folder / "bottle.onnx", content)
    until(lambda: value("andon_model_refused", {"model": "bottle"}) == 0)
    assert value("andon_model_swaps_total", {"model": "bottle", "result": "taken"}) == 0
