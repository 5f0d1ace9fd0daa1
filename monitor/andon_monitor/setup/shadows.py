"""A model of a set-up runs in shadow of a recipe that inspects, and is promoted or taken away."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.requests import Request

from andon_monitor.common.files import read_within
from andon_monitor.errors import AndonError, UsageError
from andon_monitor.review.access import Visitor
from andon_monitor.setup.deploying import LineChange
from andon_monitor.setup.draft import MODEL, NAME, DraftFolder
from andon_monitor.setup.lines import Line, digest, with_recipes
from andon_monitor.setup.workshop import Workshop

SHADOW = "shadow"
OF_MODEL = ("threshold", "false_alarm_rate")  # of a recipe: they were chosen for the model that is replaced
MAX_MODEL_BYTES = 2 * 10**9


class Shadows:
    """The forms of shadows."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    def choices(self, draft: DraftFolder) -> list[tuple[str, str]]:
        """Line and recipe of each that takes frames of the set-up's source."""
        found: dict[tuple[str, str], None] = {}
        try:
            uri = draft.source()["source"]["uri"]
        except (AndonError, KeyError):
            return []
        for name in self._shop.lines.names():
            try:
                line = self._shop.lines.read(name)
            except AndonError:  # the line's own page says what is wrong
                continue
            if line.uri == uri:
                found |= {(name, name_of(recipe)): None for recipe in line.recipes}
        return list(found)

    def start(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        """Deploy the model of a set-up as the shadow of a recipe."""
        shop = self._shop
        draft = shop.drafts.find(request.path_params["name"])
        if not draft.is_rated():
            raise UsageError("choose a rate first")
        chosen = next((pair for pair in self.choices(draft) if "/".join(pair) == fields.get("of", "")), None)
        if chosen is None:
            raise UsageError("no such recipe; load the page again")
        line = shop.lines.read(chosen[0])
        path = str(shop.lines.shadow_path(draft.name))
        recipes = [{**recipe, SHADOW: path} if name_of(recipe) == chosen[1] else recipe for recipe in line.recipes]
        model = shop.deployer.keep((draft.path / MODEL).read_bytes())
        change = LineChange(**self._change(line, recipes, fields, visitor), recipe=draft.name, model=model, shadow=True)
        if shop.deployer.submit(change):
            shop.inspections.restart_if_running(line.name, visitor.name)
        return f"/lines/{line.name}"

    def promote(self, line: Line, at: int, fields: dict[str, str], visitor: Visitor) -> None:
        """Let the shadow of a recipe be its model, with the threshold that it had as a shadow. Raises AndonError."""
        name = name_of(line.recipes[at])
        if not NAME.fullmatch(name):
            raise UsageError(f"recipe {name[:60]!r}: its name is none of a file; change the model by hand")
        try:
            content = read_within(Path(line.recipes[at][SHADOW]), MAX_MODEL_BYTES)
        except (KeyError, OSError):
            raise UsageError("the model of this shadow cannot be read; load the page again") from None
        own = {"model": str(self._shop.lines.model_path(name))}
        recipes = [
            _without(recipe, SHADOW, *OF_MODEL) | own if name_of(recipe) == name else recipe for recipe in line.recipes
        ]
        model = self._shop.deployer.keep(content)
        self._submit(LineChange(**self._change(line, recipes, fields, visitor), recipe=name, model=model), visitor)

    def end(self, line: Line, at: int, fields: dict[str, str], visitor: Visitor) -> None:
        """Take the shadow of a recipe away. Raises AndonError."""
        name = name_of(line.recipes[at])
        recipes = [_without(recipe, SHADOW) if name_of(recipe) == name else recipe for recipe in line.recipes]
        self._submit(LineChange(**self._change(line, recipes, fields, visitor)), visitor)

    def _submit(self, change: LineChange, visitor: Visitor) -> None:
        if self._shop.deployer.submit(change):
            self._shop.add_known_models()
            self._shop.inspections.restart_if_running(change.line, visitor.name)

    def _change(
        self, line: Line, recipes: Sequence[Mapping[str, Any]], fields: dict[str, str], visitor: Visitor
    ) -> dict[str, Any]:
        text = with_recipes(line.text, recipes)
        why = fields.get("why", "")
        return {"line": line.name, "base": digest(line.text), "text": text, "who": visitor.name, "why": why}


def name_of(recipe: Mapping[str, Any]) -> str:
    """The name of a recipe as it is written."""
    return str(recipe.get("name") or Path(str(recipe.get("model", ""))).stem)


def _without(recipe: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key not in keys}
