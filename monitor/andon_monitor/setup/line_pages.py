"""The page of a line: its inspection, its recipes, and what waits for a second person."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from andon_monitor.common.redaction import hide_addresses, show_address
from andon_monitor.errors import UsageError
from andon_monitor.recipes.patterns import matches
from andon_monitor.recipes.table import RecipeTable
from andon_monitor.review.access import Visitor
from andon_monitor.review.store import Store
from andon_monitor.setup.deploying import LineChange
from andon_monitor.setup.lines import Line, digest, with_recipes
from andon_monitor.setup.shadows import Shadows
from andon_monitor.setup.workshop import Workshop

MAX_FIELD = 200  # characters
RESTART_SECONDS = 10.0  # from a change of the file until the first verdict by it, where a monitor is restarted
NUMBERS = ("threshold", "false_alarm_rate")


class LinePages:
    """The pages of lines."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._shadows = Shadows(shop)

    def routes(self) -> list[BaseRoute]:
        """Their routes."""
        change = partial(self._shop.site.change, right="change")
        forms = {
            "run": self._run,
            "stop": self._stop,
            "recipe": self._edit,
            "remove": self._remove,
            "up": self._move_up,
            "promote": self._promote,
            "end-shadow": self._end_shadow,
            "answer": self._answer,
            "complete": self._complete,
            "take-back": self._take_back,
        }
        return [
            Route("/lines/{name}", self._shop.page(self._page)),
            *(Route(f"/lines/{{name}}/{form}", change(act), methods=["POST"]) for form, act in forms.items()),
        ]

    def _page(self, request: Request, visitor: Visitor) -> Response:
        shop, name = self._shop, request.path_params["name"]
        line, fault = None, ""
        is_known = shop.lines.has(name) or name in self._drafted()
        pending = shop.deployer.pending(name) if is_known else None
        cut_off = next((begun for begun in shop.deployer.unfinished() if begun.change.line == name), None)
        if shop.lines.has(name) or (pending is None and cut_off is None):
            try:
                line = shop.lines.read(name)
            except UsageError as error:
                if not shop.lines.has(name):
                    raise
                fault = str(error)
        return shop.render(
            request,
            visitor,
            "setup_line.html.jinja",
            line_name=name,
            path=shop.lines.path(name),
            line=line,
            shown="" if line is None else show_address(line.uri),
            text="" if line is None else hide_addresses(line.text),
            base="" if line is None else digest(line.text),
            fault=fault,
            state=shop.inspections.state(name),
            changed_at=0.0 if line is None else line.path.stat().st_mtime,
            behind=[] if line is None else find_behind(line, shop.site.store),
            pending=pending,
            cut_off=cut_off,
            proposed="" if pending is None else hide_addresses(pending.text),
            four_eyes=shop.models.four_eyes,
        )

    def _drafted(self) -> list[str]:
        return [draft.read().line for draft in self._shop.drafts.all()]

    def _run(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        name = self._name(request)
        self._shop.inspections.start(name, visitor.name)
        self._shop.note(visitor, f"{name}.yaml", "inspection started here", name.encode())
        return f"/lines/{name}"

    def _stop(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        name = self._name(request)
        self._shop.inspections.stop(name)
        self._shop.note(visitor, f"{name}.yaml", "inspection stopped here", name.encode())
        return f"/lines/{name}"

    def _edit(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        line, at = self._recipe(request, fields)
        recipe = dict(line.recipes[at])
        for key in ("camera", "product", *NUMBERS):
            given = fields.get(key, "").strip()[:MAX_FIELD]
            if not given or (given == "*" and key not in NUMBERS):
                recipe.pop(key, None)
            else:
                recipe[key] = _number(key, given) if key in NUMBERS else given
        return self._submit(line, [*line.recipes[:at], recipe, *line.recipes[at + 1 :]], fields, visitor)

    def _remove(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        line, at = self._recipe(request, fields)
        if len(line.recipes) == 1:
            raise UsageError("the last recipe of a line stays; stop its inspection instead")
        return self._submit(line, [*line.recipes[:at], *line.recipes[at + 1 :]], fields, visitor)

    def _move_up(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        line, at = self._recipe(request, fields)
        if at == 0:
            raise UsageError("this recipe is the first one")
        recipes = list(line.recipes)
        recipes[at - 1], recipes[at] = recipes[at], recipes[at - 1]
        return self._submit(line, recipes, fields, visitor)

    def _promote(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        line, at = self._recipe(request, fields)
        self._shadows.promote(self._expected(line, fields), at, fields, visitor)
        return f"/lines/{line.name}"

    def _end_shadow(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        line, at = self._recipe(request, fields)
        self._shadows.end(self._expected(line, fields), at, fields, visitor)
        return f"/lines/{line.name}"

    def _answer(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        name = request.path_params["name"]
        number, agreed = fields.get("number", ""), fields.get("answer") == "apply"
        pending = self._shop.deployer.pending(name)
        self._shop.deployer.answer(name, int(number) if number.isdecimal() else 0, agreed, visitor.name)
        if not agreed:
            return "/setup"
        if pending is not None and pending.model and not pending.shadow:
            self._note_deployed(pending.recipe, name)
        self._shop.inspections.restart_if_running(name, visitor.name)
        return f"/lines/{name}"

    def _complete(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        name = request.path_params["name"]
        begun = self._shop.deployer.unfinished_of(name)
        self._shop.deployer.complete(name, visitor.name)
        if begun is not None and not begun.change.shadow:
            self._note_deployed(begun.change.recipe, name)
        self._shop.inspections.restart_if_running(name, visitor.name)
        return f"/lines/{name}"

    def _take_back(self, request: Request, fields: dict[str, str], visitor: Visitor) -> str:
        self._shop.deployer.take_back(request.path_params["name"], visitor.name)
        return "/setup"

    def _note_deployed(self, recipe: str, line: str) -> None:
        for draft in self._shop.drafts.all():
            if draft.name == recipe:
                draft.change(line=line, deployed=time.time())

    def _submit(self, line: Line, recipes: list[Mapping[str, Any]], fields: dict[str, str], visitor: Visitor) -> str:
        base = digest(self._expected(line, fields).text)
        text = with_recipes(line.text, recipes)
        change = LineChange(line=line.name, base=base, text=text, who=visitor.name, why=fields.get("why", ""))
        if self._shop.deployer.submit(change):
            self._shop.add_known_models()
            self._shop.inspections.restart_if_running(line.name, visitor.name)
        return f"/lines/{line.name}"

    def _expected(self, line: Line, fields: dict[str, str]) -> Line:
        """The line, if it is as the visitor saw it. Raises UsageError."""
        if fields.get("base", "") != digest(line.text):
            raise UsageError(f"{line.path} has changed meanwhile; load the page again")
        return line

    def _name(self, request: Request) -> str:
        return self._shop.lines.read(request.path_params["name"]).name

    def _recipe(self, request: Request, fields: dict[str, str]) -> tuple[Line, int]:
        line = self._shop.lines.read(request.path_params["name"])
        number = fields.get("recipe", "")
        if not number.isdecimal() or not 1 <= int(number) <= len(line.recipes):
            raise UsageError("no such recipe; load the page again")
        return line, int(number) - 1


def find_behind(line: Line, store: Store) -> list[tuple[str, str]]:
    """Cameras of a line, and the recipe of the newest verdict, where that came after the file that no longer has it."""
    source, rules = line.settings.source, RecipeTable.from_settings(line.settings).rules
    changed_at = line.path.stat().st_mtime
    found = []
    for camera in dict.fromkeys([*source.cameras, source.camera or show_address(line.uri)]):
        names = {rule.recipe.name for rule in rules if matches(rule.camera, camera)}
        for verdict in store.verdicts.newest(camera, 1):
            is_later = (verdict.received_at or 0.0) > changed_at + RESTART_SECONDS
            if is_later and verdict.alias is not None and verdict.alias not in names:
                found.append((camera, verdict.alias))
    return found


def _number(key: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise UsageError(f"{key}: {text[:40]!r} is no number") from None
