"""Runs with several recipes: every frame gets one verdict, in order, by the model of its own recipe."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from andon_monitor.common.times import rfc3339
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.limits import private_bytes
from andon_monitor.recipes.library import Library
from andon_monitor.run.pipeline import Pipeline
from andon_monitor.settings.groups import Settings
from andon_monitor.telemetry.metrics import Metrics

from tests.fixtures.commands import andon
from tests.fixtures.hostile_models import slow
from tests.fixtures.list_ends import ListSink, ListSource
from tests.fixtures.small_model import START, build_model, draw, encode, make_frame, with_threshold

PRODUCTS = ("bottle", "box", "cap")
IMAGES = [encode(draw(i)) for i in range(4)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for number, name in enumerate(PRODUCTS):
        content = build_model(card_json=partial(with_threshold, threshold=1 + number))
        (folder / f"{name}.onnx").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sixty frames of two cameras, the product changing every seven, with one that no recipe takes."""
    folder = tmp_path_factory.mktemp("line")
    lines = []
    for i in range(60):
        (folder / f"{i:03d}.png").write_bytes(IMAGES[i % 4])
        product = (*PRODUCTS, "lid")[i // 7 % 4]
        part = {"id": str(i), "product": product}
        fields = {"file": f"{i:03d}.png", "camera": f"c{i % 2}", "captured_at": rfc3339(START + i), "part": part}
        lines.append(json.dumps(fields))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def write_settings(path: Path, models: Path, **groups: Any) -> Path:
    rules = [{"product": name, "model": str(models / f"{name}.onnx")} for name in PRODUCTS]
    path.write_text(yaml.safe_dump({"recipes": rules, **groups}))
    return path


def test_a_run_gives_each_frame_to_its_recipe_and_keeps_those_that_no_recipe_takes(
    models: Path, line: Path, tmp_path: Path
) -> None:
    settings = write_settings(tmp_path / "andon.yaml", models)
    arguments = ("run", "--no-server", "--config", settings, "--source", line)
    done = andon(*arguments, "--dead-letters", tmp_path / "letters")
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(text) for text in done.stdout.splitlines()]
    assert len(verdicts) == 60
    for i, verdict in enumerate(verdicts):
        product = (*PRODUCTS, "lid")[i // 7 % 4]
        assert verdict["part"]["id"] == str(i)
        if product == "lid":
            assert (verdict["verdict"], verdict["reason"]) == ("uninspectable", "no_recipe")
            assert "recipe" not in verdict
        else:
            assert verdict["recipe"] == verdict["model"]["alias"] == product
            assert verdict["threshold"] == 1 + PRODUCTS.index(product)
    lids = sum(verdict["verdict"] == "uninspectable" for verdict in verdicts)
    assert len(list((tmp_path / "letters").glob("*.json"))) == lids > 0
    assert f"{lids} no_recipe" in done.stderr
    # Whenever models are opened, and however few fit at a time, the verdicts are the same bytes.
    lazily = andon(*arguments, "--set", "model.load=first-frame", "--set", "model.memory_bytes=1")
    assert lazily.stdout == done.stdout


def test_check_shows_which_frames_meet_which_model_and_what_is_never_met(
    models: Path, line: Path, tmp_path: Path
) -> None:
    source = {"cameras": ["c0"], "products": ["bottle", "lid"]}
    settings = write_settings(tmp_path / "andon.yaml", models, source=source, server={"enabled": False})
    done = andon("check", "--config", settings, "--source", line)
    assert done.returncode == 0, done.stdout
    for said in ("bottle.onnx", "c0 lid no recipe: uninspectable", "c0 bottle bottle", "recipe cap", "provider"):
        assert said in " ".join(done.stdout.split()), done.stdout
    content = yaml.safe_load(settings.read_text())
    content["recipes"].insert(0, {"model": str(models / "cap.onnx"), "name": "all"})
    settings.write_text(yaml.safe_dump(content))
    done = andon("check", "--config", settings, "--source", line)
    assert done.returncode == 1
    assert "never met: rule 1 takes all of it" in " ".join(done.stdout.split())
    (tmp_path / "bad.onnx").write_bytes(b"?")
    content["recipes"] = [{"model": str(tmp_path / "bad.onnx")}, {"model": str(models / "cap.onnx")}]
    settings.write_text(yaml.safe_dump(content))
    done = andon("check", "--config", settings, "--source", line)
    assert done.returncode == 1
    assert "its model cannot be used" in " ".join(done.stdout.split())


@pytest.fixture
def library(models: Path) -> Iterator[Library]:
    rules = [{"product": name, "model": str(models / f"{name}.onnx")} for name in PRODUCTS]
    opened = Library.open(Settings(recipes=rules, model={"provider": "cpu", "load": "first-frame", "memory_bytes": 1}))
    yield opened
    opened.close()


def stream(count: int, every: int) -> list[Frame]:
    """Frames whose product changes after `every` of them."""
    return [
        Frame.of(
            IMAGES[i % 4],
            make_frame(b"", i).position,
            "top",
            START + i,
            part={"product": PRODUCTS[i // every % len(PRODUCTS)]},
        )
        for i in range(count)
    ]


def test_frames_behind_one_that_waits_for_its_model_keep_their_order(library: Library) -> None:
    frames = stream(60, 5)
    sink = ListSink()
    Pipeline(ListSource(frames), library, [sink]).run()
    assert [inspection.frame for inspection in sink.inspections] == frames
    for inspection in sink.inspections:
        assert inspection.verdict.recipe == inspection.frame.part.product
        assert inspection.verdict.outcome != "uninspectable"


def test_a_live_frame_is_not_waited_for_beyond_the_limit(library: Library) -> None:
    library.patience = 0.0
    frames = stream(3, 1)
    sink = ListSink()
    Pipeline(ListSource(frames, live=True), library, [sink]).run()
    assert [inspection.verdict.reason for inspection in sink.inspections] == ["no_model"] * 3


def test_frames_of_other_recipes_go_on_while_a_model_is_opened_for_longer_than_the_limit(
    models: Path, tmp_path: Path
) -> None:
    (tmp_path / "slow.onnx").write_bytes(slow())
    rules = [
        {"product": "box", "model": str(tmp_path / "slow.onnx")},
        {"product": "bottle", "model": str(models / "bottle.onnx")},
    ]
    model = {"provider": "cpu", "load": "first-frame", "load_timeout": 1000}
    opened = Library.open(Settings(recipes=rules, model=model))
    try:
        opened.open_here(opened.files[1])
        opened.patience = 0.5
        products = ["bottle", "box", "bottle", "bottle", "box", "bottle"]
        frames = [
            Frame.of(IMAGES[0], make_frame(b"", i).position, "top", START + i, part={"product": product})
            for i, product in enumerate(products)
        ]
        sink = ListSink()
        Pipeline(ListSource(frames, live=True), opened, [sink]).run()  # ends long before the model is open
        verdicts = [inspection.verdict for inspection in sink.inspections]
        assert [verdict.reason for verdict in verdicts] == [None, "no_model", None, None, "no_model", None]
        assert verdicts[1].detail == "the model of recipe slow is not open after 0.5 s"
        assert opened.find(frames[1]).reason == "no_model"
        assert isinstance(opened.find(frames[0]), Inspector)
    finally:
        opened.close()  # ends the verification that goes on


def test_a_thousand_changeovers_leave_no_memory_behind_and_no_frame_with_a_wrong_model(models: Path) -> None:
    rules = [{"product": name, "model": str(models / f"{name}.onnx")} for name in PRODUCTS]
    metrics = Metrics()
    library = Library.open(Settings(recipes=rules, model={"provider": "cpu", "memory_bytes": 1}), metrics)
    try:

        def change_over(count: int) -> None:
            sink = ListSink()
            Pipeline(ListSource(stream(count, 1)), library, [sink], metrics).run()
            assert len(sink.inspections) == count
            for inspection in sink.inspections:
                product = inspection.frame.part.product
                assert inspection.verdict.recipe == product
                assert inspection.verdict.threshold == 1 + PRODUCTS.index(product)

        change_over(100)
        before = private_bytes()
        change_over(1000)
        value = metrics.registry.get_sample_value
        openings = sum(value("andon_model_openings_total", {"model": name}) or 0 for name in PRODUCTS)
        assert openings > 100  # with room for one model, nearly each group of frames opens some
        assert private_bytes() - before < 40 * 2**20
    finally:
        library.close()
