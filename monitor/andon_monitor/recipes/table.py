"""The rules among the settings: which recipe takes the frames of a camera and a product."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Rules
from andon_monitor.recipes.patterns import covers, matches
from andon_monitor.settings.groups import RecipeSettings, Settings


@dataclass(frozen=True)
class Recipe:
    """A model file and the rules of its use; `name` is None for the one model of `model.path`."""

    name: str | None
    path: Path
    rules: Rules
    shadow: Path | None = None


@dataclass(frozen=True)
class Rule:
    """Patterns of the cameras and products whose frames a recipe takes."""

    camera: str
    product: str
    recipe: Recipe

    def takes(self, camera: str, product: str) -> bool:
        """Whether it takes the frames of a camera and a product, "" for a frame without a product."""
        return matches(self.camera, camera) and matches(self.product, product)

    def covers(self, other: "Rule") -> bool:
        """Whether it takes every frame that `other` takes."""
        return covers(self.camera, other.camera) and covers(self.product, other.product)


class RecipeTable:
    """Rules in their order; the first one that takes a frame counts."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self.recipes = tuple({id(rule.recipe): rule.recipe for rule in rules}.values())

    @classmethod
    def from_settings(cls, settings: Settings) -> "RecipeTable":
        """The recipes among the settings, or the one model for all frames. Raises UsageError."""
        if settings.recipes:
            return cls(tuple(_read_rules(settings)))
        if settings.model.path is None:
            raise UsageError("model.path: not given; give --model part.onnx, a file from andon-trainer fit")
        return cls((Rule("*", "*", Recipe(None, settings.model.path, Rules.from_settings(settings))),))

    def find(self, camera: str, product: str) -> Recipe | None:
        """The recipe of a camera and a product, "" for frames without one; None where no rule takes them."""
        return next((rule.recipe for rule in self.rules if rule.takes(camera, product)), None)

    def covering(self, number: int) -> int | None:
        """The index of an earlier rule that takes all frames of this one, which is then never met."""
        return next((i for i in range(number) if self.rules[i].covers(self.rules[number])), None)


def model_files(settings: Settings) -> dict[str, Path]:
    """The model files of the settings by the name that pages and topics call them: of several recipes of one file, the
    name of the first; without recipes the alias, or the name of the file. Raises UsageError.
    """
    if settings.recipes:
        first = {recipe.path: recipe for recipe in reversed(RecipeTable.from_settings(settings).recipes)}
        return {recipe.name or path.stem: path for path, recipe in first.items()}
    path = settings.model.path
    return {} if path is None else {settings.model.alias or path.stem: path}


def product_of(frame: Frame) -> str:
    """The product of a frame, "" where it has none."""
    return "" if frame.part is None else frame.part.product or ""


def _read_rules(settings: Settings) -> Iterator[Rule]:
    """Rules that say the same of a recipe, and of its name, share it."""
    known: dict[str, tuple[int, RecipeSettings, Recipe]] = {}
    for number, given in enumerate(settings.recipes, start=1):
        name = given.name or given.model.stem
        content = given.model_copy(update={"camera": "*", "product": "*", "name": name})
        if name not in known:
            recipe = Recipe(name, given.model, _rules_of(given, name, Rules.from_settings(settings)), given.shadow)
            known[name] = number, content, recipe
        first, before, recipe = known[name]
        if before != content:
            raise UsageError(f"recipe {number}: {name} is already the name of recipe {first}; give it another name")
        yield Rule(given.camera, given.product, recipe)


def _rules_of(given: RecipeSettings, name: str, usual: Rules) -> Rules:
    return Rules(
        alias=name,
        too_dark=usual.too_dark if given.too_dark is None else given.too_dark,
        too_blurred=usual.too_blurred if given.too_blurred is None else given.too_blurred,
        limits=usual.limits,
        max_staleness=usual.max_staleness,
        regions=usual.regions if given.regions is None else given.regions,
        scales=usual.scales,
        recipe=name,
        threshold=given.threshold,
        false_alarm_rate=given.false_alarm_rate,
        scale=given.scale,
    )
