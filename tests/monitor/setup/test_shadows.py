"""A set-up's model runs in shadow of the recipe that inspects, is taken away, and is promoted."""

from pathlib import Path

import yaml
from andon_monitor.model.file import Model
from andon_monitor.model.recalibration import with_rate
from andon_monitor.review.store import Store

from tests.fixtures.review_page import Client
from tests.fixtures.setup_page import setting_up, settings_of
from tests.monitor.review.models.test_pages import send
from tests.monitor.setup.test_pages import answer

PATH = "/setup/bottle/deploy"


def recipes(line: Path) -> object:
    return yaml.safe_load(line.read_text())["recipes"]


def test_in_shadow_of_a_recipe_then_promoted(prepared: Path, model: Model) -> None:
    lines = prepared / "lines"
    line, file, shadow = (lines / name for name in ("press.yaml", "bottle.onnx", "bottle.shadow.onnx"))
    with setting_up(settings_of(prepared)) as url:
        ann = Client(url)
        assert "In shadow of a recipe that runs" not in ann.get(PATH)[1]  # none runs yet
        assert send(ann, PATH, PATH, line="press", why="first")[0] == 200
        assert send(ann, "/lines/press", "/lines/press/recipe", threshold="7", why="by hand")[0] == 200
        other, _ = with_rate(model.content, "bottle", 0.2)
        (prepared / "store" / "setup" / "bottle" / "model.onnx").write_bytes(other)
        status, page = send(ann, PATH, "/setup/bottle/shadow", of="press/bottle", why="try it")
        assert (status, f"In shadow: {shadow}" in page) == (200, True)
        with_shadow = [{"name": "bottle", "model": str(file), "threshold": 7.0, "shadow": str(shadow)}]
        assert recipes(line) == with_shadow
        assert (file.read_bytes(), shadow.read_bytes()) == (model.content, other)
        assert send(ann, "/lines/press", "/lines/press/end-shadow")[0] == 200
        assert recipes(line) == [{"name": "bottle", "model": str(file), "threshold": 7.0}]
        assert send(ann, PATH, "/setup/bottle/shadow", of="press/bottle", why="again")[0] == 200
        assert send(ann, "/lines/press", "/lines/press/promote", why="better")[0] == 200
        # Its own threshold, as in shadow: that of the recipe was chosen for the other model.
        assert (recipes(line), file.read_bytes()) == ([{"name": "bottle", "model": str(file)}], other)
        assert "/promote" not in ann.get("/lines/press")[1]
        assert answer(ann, PATH, "/setup/bottle/shadow", {"of": "press/none", "why": "x"})[0] == 400
        assert answer(ann, PATH, "/lines/press/promote", {"recipe": "1", "why": "x"})[0] == 400
        assert "bottle.shadow" not in ann.get("/teach")[1]
    changes = Store(prepared / "store").changes.newest(99)
    assert [change.file for change in changes if change.action == "deploy"] == ["bottle", "bottle.shadow", "bottle"]
