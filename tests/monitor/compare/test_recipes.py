"""The recipes of a settings file compared with another settings file, a model, the labels, the line's verdicts."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.commands import andon
from tests.fixtures.small_model import build_model, draw, encode, with_threshold

PRODUCTS = ("bottle", "cap")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames of two products, every fifth a defect; a strict and a usual model; two settings files."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "frames").mkdir()
    lines = []
    for i in range(20):
        (folder / "frames" / f"{i:02d}.png").write_bytes(encode(draw(i, defect=i % 5 == 4)))
        label = "scratch" if i % 5 == 4 else "good"
        lines.append(json.dumps({"file": f"{i:02d}.png", "label": label, "part": {"product": PRODUCTS[i % 2]}}))
    (folder / "frames" / "manifest.jsonl").write_text("\n".join(lines))
    (folder / "usual.onnx").write_bytes(build_model())
    (folder / "deaf.onnx").write_bytes(build_model(card_json=partial(with_threshold, threshold=5.0)))
    write(folder / "new.yaml", bottle="usual.onnx", cap="usual.onnx", name="cap")
    write(folder / "old.yaml", bottle="usual.onnx", cap="deaf.onnx")
    write(folder / "half.yaml", bottle="usual.onnx")
    return folder


def write(path: Path, name: str | None = None, **models: str) -> None:
    rules: list[dict[str, Any]] = [
        {"product": product, "model": str(path.parent / model)} for product, model in models.items()
    ]
    if name is not None:
        rules[-1]["name"] = name
    path.write_text(yaml.safe_dump({"recipes": rules}))


def compare(folder: Path, *arguments: str | Path) -> dict[str, Any]:
    done = andon(
        "compare", folder / "frames", *arguments, "--json", folder / "found.json", "--report", folder / "r.html"
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


def test_two_settings_files_are_compared(folder: Path) -> None:
    found = compare(folder, "--config", folder / "new.yaml", "--baseline", folder / "old.yaml")
    assert found["changes"] == {"newly caught": 2}
    assert {name: product["changed"] for name, product in found["products"].items()} == {"bottle": 0, "cap": 2}
    assert found["model"]["detection"]["flagged"] == 4
    assert found["model"]["milliseconds_per_frame"] > 0
    assert "data:image" in (folder / "r.html").read_text()


def test_recipes_are_compared_with_the_lines_verdicts_and_with_the_labels(folder: Path) -> None:
    run = andon("run", "--no-server", "--config", folder / "new.yaml", "--source", folder / "frames")
    verdicts = folder / "verdicts.jsonl"
    verdicts.write_text(run.stdout)
    assert compare(folder, "--config", folder / "new.yaml", "--baseline", verdicts)["changes"] == {}
    labelled = compare(folder, "--config", folder / "half.yaml")
    assert labelled["model"]["verdicts"] == {"good": 8, "defect": 2, "uninspectable": 10}
    with_model = compare(folder, "--config", folder / "half.yaml", "--baseline", folder / "usual.onnx")
    assert with_model["changes"] == {"now not inspected": 10}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--config", "new.yaml", "--model", "usual.onnx"), "the settings have recipes; which one?"),
        (("--config", "new.yaml", "--threshold", "2"), "--threshold: the settings have recipes, each with its own"),
        (("--baseline", "old.yaml", "--threshold", "2"), "--threshold: each recipe of old.yaml has its own"),
    ],
)
def test_what_does_not_go_with_recipes_is_refused(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = andon("compare", folder / "frames", *arguments, cwd=folder)
    assert done.returncode == 2
    assert said in done.stderr


def test_tune_measures_with_all_recipes(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "new.yaml", tmp_path)
    best = tmp_path / "best.yaml"
    arguments = ("--config", tmp_path / "new.yaml", "--source", folder / "frames", "-o", best)
    done = andon("tune", *arguments, "--seconds", "0.1", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    content = yaml.safe_load(best.read_text())
    assert content["recipes"] == yaml.safe_load((folder / "new.yaml").read_text())["recipes"]
    assert content["model"]["threads"] >= 1
