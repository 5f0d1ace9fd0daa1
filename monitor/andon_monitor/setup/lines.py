"""The settings files of the monitors, one for each line: read, changed in their recipes alone, checked, replaced."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from andon_monitor.common.files import read_within, remove_quietly, write_whole
from andon_monitor.common.redaction import hide_addresses
from andon_monitor.errors import UsageError
from andon_monitor.recipes.table import RecipeTable
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import RECIPES, load_settings
from andon_monitor.setup.draft import NAME, PRIVATE

SUFFIX = ".yaml"
MAX_BYTES = 1_000_000
HEADER = """\
# Settings of the monitor of this line: andon-monitor run --config FILE
# Written by the review page, which changes the list of recipes alone. Change what you like by hand.
# It may hold the password of a camera: keep it to this user.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A settings file: its text, the settings that it gives, and its recipes as they are written."""

    name: str
    path: Path
    text: str
    settings: Settings
    recipes: Sequence[Mapping[str, Any]]

    @property
    def uri(self) -> str:
        """The source; it may hold a password."""
        return self.settings.source.uri or ""


class Lines:
    """The folder of settings files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def names(self) -> list[str]:
        """The lines that are there."""
        found = (path.stem for path in self.folder.glob(f"*{SUFFIX}"))
        return sorted(name for name in found if NAME.fullmatch(name))

    def path(self, name: str) -> Path:
        """The settings file of a line."""
        return self.folder / f"{name}{SUFFIX}"

    def model_path(self, recipe: str) -> Path:
        """The model file of a recipe that the page deploys."""
        return self.folder / f"{recipe}.onnx"

    def shadow_path(self, recipe: str) -> Path:
        """The model file of a set-up that runs in shadow of a recipe; no recipe's own file has such a name."""
        return self.folder / f"{recipe}.shadow.onnx"

    def has(self, name: str) -> bool:
        """Whether a line is there."""
        return name in self.names()

    def read(self, name: str) -> Line:
        """A line. Raises UsageError where its file is wrong."""
        if not self.has(name):
            raise UsageError(f"{name[:60]!r} is no line of this page")
        try:
            text = read_within(self.path(name), MAX_BYTES).decode()
        except (OSError, UnicodeDecodeError):
            raise UsageError(f"{self.path(name)}: cannot be read") from None
        return self.check(name, text)

    def check(self, name: str, text: str, coming: Path | None = None) -> Line:
        """What a text would be as the settings file of a line, by the monitors' own reader. Raises UsageError.

        `coming`: a model file that is not there yet.
        """
        path = self.path(name)
        trial = self.folder / f".{name}.{secrets.token_hex(4)}.try"
        write_whole(trial, text.encode(), PRIVATE)
        try:
            settings = load_settings({}, trial)
        except UsageError as error:
            raise UsageError(str(error).replace(str(trial), str(path))) from None
        finally:
            remove_quietly(trial)
        if settings.source.uri is None:
            raise UsageError(f"{path}: source.uri is not given")
        table = RecipeTable.from_settings(settings)
        for number in range(len(table.rules)):
            if (earlier := table.covering(number)) is not None:
                raise UsageError(
                    f"{path}: recipe {number + 1} would never be met, as recipe {earlier + 1} takes all its frames; "
                    "put it before that one"
                )
        for recipe in table.recipes:
            for model in (recipe.path, recipe.shadow):
                if model not in (None, coming) and not (model and model.is_file()):
                    raise UsageError(f"{path}: {model}: no such model file")
        return Line(name, path, text, settings, (yaml.safe_load(text) or {}).get(RECIPES) or [])

    def write(self, line: Line) -> None:
        """Replace a line's file, all at once. Raises OutputError."""
        write_whole(line.path, line.text.encode(), PRIVATE)


def new_text(groups: Mapping[str, Mapping[str, Any]], recipes: Sequence[Mapping[str, Any]]) -> str:
    """The text of a line that is new."""
    return HEADER + _dump({**groups, RECIPES: [dict(recipe) for recipe in recipes]})


def with_recipes(text: str, recipes: Sequence[Mapping[str, Any]]) -> str:
    """The text of a line with other recipes; every other line of it stays, comments too. Raises UsageError."""
    block = _dump({RECIPES: [dict(recipe) for recipe in recipes]})
    before, after = yaml.safe_load(text) or {}, yaml.safe_load(block)
    changed = f"{text.rstrip()}\n{block}"
    node = yaml.compose(text)
    for key, value in node.value if node is not None else []:
        if key.value == RECIPES:
            begin, end = key.start_mark.index, value.end_mark.index
            kept = _trailing(text[begin:end])
            changed = text[:begin] + block + kept + text[end:].removeprefix("\n" if not kept else "")
    try:
        is_right = yaml.safe_load(changed) == {**before, **after}
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        raise UsageError("the recipes cannot be replaced in this file; change it by hand")
    return changed


def add_recipe(
    recipes: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any], place: int | None = None
) -> list[Mapping[str, Any]]:
    """The recipes with one more, or instead of the one of its name; `place`: before that one."""
    others = [dict(known) for known in recipes]
    for i, known in enumerate(others):
        if known.get("name") == recipe["name"]:
            return [*others[:i], recipe, *others[i + 1 :]]
    at = len(others) if place is None else place
    return [*others[:at], recipe, *others[at:]]


def digest(text: str) -> str:
    """A fingerprint of a settings file for the history, which tells nothing of passwords in addresses."""
    return hashlib.sha256(hide_addresses(text).encode()).hexdigest()


def _dump(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True, width=120)


def _trailing(block: str) -> str:
    """Comments and empty lines at the end of a block: they belong to what comes after it."""
    lines = block.splitlines(keepends=True)
    kept: list[str] = []
    while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
        kept.insert(0, lines.pop())
    return "".join(kept)
