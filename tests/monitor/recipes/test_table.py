from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.recipes.table import RecipeTable, product_of
from andon_monitor.settings.groups import Settings

from tests.fixtures.small_model import make_frame


def table(*rules: dict[str, Any], **settings: Any) -> RecipeTable:
    return RecipeTable.from_settings(Settings(recipes=rules, **settings))


def name_of(rules: RecipeTable, camera: str, product: str) -> str | None:
    recipe = rules.find(camera, product)
    return None if recipe is None else recipe.name


def test_the_first_rule_that_takes_a_frame_counts() -> None:
    rules = table(
        {"camera": "top*", "product": "bottle", "model": "bottle-top.onnx"},
        {"product": "bottle", "model": "bottle.onnx"},
        {"product": "?*", "model": "any.onnx", "name": "others"},
    )
    assert name_of(rules, "top-1", "bottle") == "bottle-top"
    assert name_of(rules, "side", "bottle") == "bottle"
    assert name_of(rules, "side", "cap") == "others"
    assert name_of(rules, "side", "") is None


def test_one_model_is_a_recipe_that_takes_everything() -> None:
    rules = RecipeTable.from_settings(Settings(model={"path": "part.onnx"}))
    assert rules.find("any", "") is rules.find("other", "cap") is rules.recipes[0]
    assert rules.recipes[0].name is None
    with pytest.raises(UsageError, match=r"model\.path: not given"):
        RecipeTable.from_settings(Settings())


def test_rules_that_say_the_same_share_a_recipe_and_others_need_names_of_their_own() -> None:
    rules = table({"camera": "a", "model": "x.onnx"}, {"camera": "b", "model": "x.onnx"})
    assert len(rules.recipes) == 1
    with pytest.raises(UsageError, match="recipe 2: x is already the name of recipe 1; give it another name"):
        table({"camera": "a", "model": "x.onnx"}, {"camera": "b", "model": "x.onnx", "threshold": 2})


def test_a_recipe_overrides_what_the_inspection_settings_say() -> None:
    rules = table(
        {"camera": "a", "model": "x.onnx", "too_dark": 0, "regions": False, "scale": 0.1, "false_alarm_rate": 0.02},
        {"model": "y.onnx"},
        inspection={"too_dark": 0.3, "too_blurred": 0.4, "scales": {"b": 0.2}},
    )
    first, second = (recipe.rules for recipe in rules.recipes)
    assert (first.too_dark, first.too_blurred, first.regions, first.scale) == (0, 0.4, False, 0.1)
    assert (first.false_alarm_rate, first.threshold) == (0.02, None)
    assert (second.too_dark, second.regions, second.scale, second.scales) == (0.3, True, None, {"b": 0.2})
    assert (second.recipe, second.alias) == ("y", "y")


def test_a_rule_that_is_never_met_is_found() -> None:
    rules = table(
        {"camera": "top*", "model": "a.onnx"},
        {"camera": "top-1", "product": "bottle", "model": "b.onnx"},
        {"camera": "t*", "model": "c.onnx"},
    )
    assert [rules.covering(number) for number in range(3)] == [None, 0, None]


def test_a_frame_without_a_product_has_an_empty_one() -> None:
    assert product_of(make_frame(b"")) == ""
    assert product_of(make_frame(b"", part=None)) == ""
