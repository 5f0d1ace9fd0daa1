"""Models of several recipes: which one a frame meets, what a bad file does, and the memory they may take."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import AndonError, ModelError, UsageError
from andon_monitor.inspection.frames import Frame, Verdict
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.recipes.library import Library
from andon_monitor.settings.groups import Settings
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.commands import PATIENCE
from tests.fixtures.small_model import build_model, draw, encode, make_frame, with_threshold

GOOD = encode(draw(1))
NAMES = ("bottle", "box", "cap")


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """A model for each product, which differ in their thresholds."""
    thresholds = {name: 0.75 + 0.05 * number for number, name in enumerate(NAMES)}
    return {
        name: build_model(card_json=partial(with_threshold, threshold=threshold))
        for name, threshold in thresholds.items()
    }


@pytest.fixture
def folder(contents: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in contents.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> Iterator[Any]:
    """Opens libraries with a recipe for each product, closed at the end."""
    libraries: list[Library] = []

    def open_library(metrics: Metrics | None = None, **model: Any) -> Library:
        rules = [{"product": name, "model": str(folder / f"{name}.onnx")} for name in NAMES]
        libraries.append(Library.open(Settings(recipes=rules, model={"provider": "cpu", **model}), metrics))
        return libraries[-1]

    yield open_library
    for library in libraries:
        library.close()


def frame(product: str | None, offset: int = 0) -> Frame:
    return Frame.of(
        GOOD, make_frame(b"", offset).position, "top", 1e9, part=None if product is None else {"product": product}
    )


def wait_for(library: Library, product: str) -> Inspector | Verdict:
    deadline = time.monotonic() + PATIENCE
    while (found := library.find(frame(product))) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def names(library: Library) -> list[str]:
    return [inspector.alias for inspector in library.inspectors()]


def test_each_frame_meets_the_model_of_its_recipe(opened: Any) -> None:
    library = opened()
    for number, name in enumerate(NAMES):
        found = library.find(frame(name))
        assert isinstance(found, Inspector)
        assert found.threshold("top") == pytest.approx(0.75 + 0.05 * number)
        (verdict,) = found.inspect([found.prepare(frame(name))])
        assert (verdict.recipe, verdict.model, verdict.model_sha256) == (name, name, found.model.sha256)


def test_a_frame_that_no_recipe_takes_is_uninspectable_and_says_so(opened: Any) -> None:
    found = opened().find(frame("lid"))
    assert isinstance(found, Verdict)
    assert (found.outcome, found.reason) == ("uninspectable", "no_recipe")
    assert found.detail == "no recipe takes camera top and product lid"
    assert opened().find(frame(None)).detail == "no recipe takes camera top without a product"


def test_what_is_wrong_with_a_frame_itself_comes_first(opened: Any) -> None:
    damaged = Frame.of(GOOD, make_frame(b"").position, "", 1e9)
    assert opened().find(damaged).reason == "malformed"


def test_recipes_with_one_file_share_its_model_each_with_its_threshold(folder: Path) -> None:
    rules = [
        {"product": "cap", "model": str(folder / "cap.onnx")},
        {"model": str(folder / "cap.onnx"), "name": "strict", "threshold": 0.5},
        {"camera": "-", "model": str(folder / "cap.onnx"), "name": "rate", "false_alarm_rate": 0.1},
    ]
    library = Library.open(Settings(recipes=rules, model={"provider": "cpu"}))
    plain, strict, rate = library.inspectors()
    assert plain.model is strict.model is rate.model
    assert (strict.threshold("top"), strict.false_alarm_rate) == (0.5, strict.model.card.calibration.p_value(0.5))
    assert rate.threshold("top") < plain.threshold("top")
    assert rate.false_alarm_rate == 0.1
    library.close()


def test_a_bad_file_leaves_the_others_working_and_none_at_all_ends_the_run(folder: Path, opened: Any) -> None:
    (folder / "box.onnx").write_bytes(b"?")
    metrics = Metrics()
    library = opened(metrics)
    assert names(library) == ["bottle", "cap"]
    found = library.find(frame("box"))
    assert (found.reason, found.recipe, found.model) == ("no_model", "box", "none")
    assert "the model of recipe box is refused: " in found.detail
    assert metrics.registry.get_sample_value("andon_model_refused", {"model": "box"}) == 1
    assert metrics.registry.get_sample_value("andon_model_refused", {"model": "cap"}) == 0
    for name in NAMES:
        (folder / f"{name}.onnx").unlink()
    with pytest.raises(UsageError, match=r"bottle\.onnx: no such model file"):
        opened()


def test_a_refused_swap_leaves_the_model_in_use(folder: Path, opened: Any, contents: dict[str, bytes]) -> None:
    library = opened()
    file = library.files[1]
    with pytest.raises(ModelError), file.lock:
        library.replace(file, contents["box"][:3000])
    found = library.find(frame("box"))
    assert isinstance(found, Inspector)
    with file.lock:
        library.replace(file, contents["cap"])
    swapped = library.find(frame("box"))
    assert swapped.alias == "box"
    assert swapped.model.sha256 != found.model.sha256


def test_a_model_is_opened_with_the_first_frame_that_needs_it(opened: Any) -> None:
    metrics = Metrics()
    library = opened(metrics, load="first-frame")
    assert names(library) == []
    assert library.find(frame("cap")) is None
    assert wait_for(library, "cap").alias == "cap"
    assert names(library) == ["cap"]
    assert metrics.registry.get_sample_value("andon_models_open") == 1


def test_live_frames_wait_for_a_model_no_longer_than_the_limit(opened: Any) -> None:
    library = opened(load="first-frame")
    library.patience = 0.0
    found = library.find(frame("cap"))
    assert (found.reason, found.recipe) == ("no_model", "cap")
    library.patience = None
    assert isinstance(wait_for(library, "cap"), Inspector)


def test_a_bad_file_that_a_frame_needs_is_refused_in_the_background(folder: Path, opened: Any) -> None:
    (folder / "cap.onnx").write_bytes(b"?")
    library = opened(load="first-frame")
    assert wait_for(library, "cap").reason == "no_model"
    assert isinstance(wait_for(library, "box"), Inspector)


def test_the_least_recently_used_model_is_closed_to_keep_to_the_budget(opened: Any) -> None:
    metrics = Metrics()
    library = opened(metrics, load="first-frame", memory_bytes=1)  # room for one at a time
    for name in ("cap", "box", "cap"):
        assert wait_for(library, name).alias == name
        assert names(library) == [name]
    value = metrics.registry.get_sample_value
    assert value("andon_model_openings_total", {"model": "cap"}) == 2
    assert value("andon_models_open") == 1
    assert value("andon_models_bytes") > 0
    budget = library.files[0].bytes + library.files[1].bytes + library.files[2].bytes
    roomy = opened(memory_bytes=10 * budget + 2**30)
    assert names(roomy) == list(NAMES)


def test_a_recipe_whose_golden_frames_fail_under_its_own_threshold_is_still_a_recipe(folder: Path) -> None:
    """The golden frames test the file; an operator's threshold may call each of them a defect."""
    rules = [{"model": str(folder / "cap.onnx"), "threshold": -1.0}]
    library = Library.open(Settings(recipes=rules, model={"provider": "cpu"}))
    assert library.inspectors()[0].threshold("top") == -1
    library.close()


def test_errors_are_of_one_line(folder: Path, opened: Any) -> None:
    (folder / "cap.onnx").write_bytes(b"?\n?" * 10_000)
    with pytest.raises(AndonError) as raised:
        Library.open(Settings(recipes=[{"model": str(folder / "cap.onnx")}], model={"provider": "cpu"}))
    assert "\n" not in str(raised.value)
