"""Settings files of lines: changed in their recipes alone, and checked by the monitors' own reader."""

from pathlib import Path

import pytest
import yaml
from andon_monitor.errors import UsageError
from andon_monitor.model.file import Model
from andon_monitor.setup.lines import Lines, add_recipe, digest, new_text, with_recipes

BY_HAND = """\
# the press
source:
  uri: http://viewer:hunter2@camera-1/stream  # changed in March
recipes:
  - name: bottle
    model: bottle.onnx
# what the PLC wants
inspection: {too_dark: 0.1}
"""


@pytest.mark.parametrize("text", [BY_HAND, BY_HAND.replace("# what the PLC wants\n", ""), BY_HAND.split("# what")[0]])
def test_all_but_the_recipes_stays_as_it_was_written(text: str) -> None:
    recipes = [{"name": "can", "camera": "left", "model": "can.onnx"}, {"name": "bottle", "model": "bottle.onnx"}]
    changed = with_recipes(text, recipes)
    assert yaml.safe_load(changed) == yaml.safe_load(text) | {"recipes": recipes}
    for line in text.splitlines():
        if "bottle" not in line:
            assert line in changed
    assert with_recipes(changed, recipes) == changed
    assert "recipes" in with_recipes("source: {uri: x}\n", recipes)


def test_a_recipe_of_the_same_name_is_replaced() -> None:
    first, other = {"name": "a", "model": "a"}, {"name": "b", "model": "b"}
    assert add_recipe([first], other, 0) == [other, first]
    assert add_recipe([first, other], {"name": "a", "model": "c"}, 1) == [{"name": "a", "model": "c"}, other]


def test_what_the_monitor_would_refuse_replaces_nothing(tmp_path: Path, model: Model) -> None:
    lines = Lines(tmp_path)
    path = tmp_path / "part.onnx"
    path.write_bytes(model.content)
    recipe = {"name": "part", "model": str(path)}
    text = new_text({"source": {"uri": "camera:0"}}, [recipe])
    lines.write(lines.check("press", text))
    assert lines.names() == ["press"]
    assert (lines.path("press").stat().st_mode & 0o077) == 0  # a camera's password may be in it
    assert list(lines.read("press").recipes) == [recipe]
    for recipes, expected in (
        ([recipe, {"name": "other", "camera": "left", "model": str(path)}], "recipe 2 would never be met"),
        ([{"name": "part", "model": str(tmp_path / "gone.onnx")}], "no such model file"),
        ([recipe | {"threshold": 1.0, "false_alarm_rate": 0.1}], "which one"),
        ([recipe | {"colour": "red"}], "unknown setting"),
    ):
        with pytest.raises(UsageError, match=expected) as refused:
            lines.check("press", with_recipes(text, recipes))
        assert str(lines.path("press")) in str(refused.value)
    assert lines.path("press").read_text() == text
    assert sorted(found.name for found in tmp_path.iterdir()) == ["part.onnx", "press.yaml"]


def test_a_fingerprint_tells_nothing_of_a_password() -> None:
    assert digest(BY_HAND) == digest(BY_HAND.replace("hunter2", "hunter3"))
    assert digest(BY_HAND) != digest(BY_HAND.replace("camera-1", "camera-2"))
