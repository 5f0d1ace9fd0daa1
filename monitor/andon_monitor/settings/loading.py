"""Settings from flags, else environment variables, else a YAML file, else defaults; all checked before anything starts.

`server.port` is `--port` or `--set server.port=...`, `ANDON_SERVER_PORT`, or in the file

    server:
      port: 9464
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
)

from andon_monitor.common.redaction import hide_addresses, show_address
from andon_monitor.errors import UsageError
from andon_monitor.settings.actions import RuleSettings, TargetSettings
from andon_monitor.settings.groups import PREFIX, RecipeSettings, Settings

# Other variables may start with ANDON_: tests have some, and Kubernetes sets ANDON_MONITOR_SERVICE_HOST for a service
# named andon-monitor. Only a name this similar to a setting's (difflib's ratio) counts as a misspelt setting.
MIN_SIMILARITY_OF_VARIABLE = 0.85
MIN_SIMILARITY_OF_SUGGESTION = 0.5
RECIPES = "recipes"  # the one list among the groups; only a file can hold it
ACTIONS = ("output", "actions")  # a list within a group


def load_settings(flags: Mapping[str, Any] | None = None, config: Path | None = None) -> Settings:
    """The settings. `flags` are by dotted key, {"server.port": 0}, None where not given.

    Raises UsageError, one line: where the value was given, the key, the value, what would be right.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    file = _read_file(config) if config is not None else {}
    _refuse_unknown(given, file, config)

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=file)

    try:
        return Loaded(**nested(given))  # type: ignore[arg-type]  # they are validated here
    except ValidationError as error:
        first = error.errors()[0]
        key = _named(first["loc"])
        raise UsageError(f"{_origin(key, given, config)}{key}{': ' if key else ''}{_explain(first)}") from None
    except SettingsError as error:
        raise UsageError(f"environment: {error}") from None


def flatten(settings: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Every setting of a group as (dotted key, value, description)."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from flatten(value, f"{prefix}{name}.")
        elif name != RECIPES:
            yield f"{prefix}{name}", value, field.description or ""


def _field_types(settings: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every setting as (dotted key, the types that its value may have)."""
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _field_types(field.annotation, f"{prefix}{name}.")
        elif name != RECIPES:
            yield f"{prefix}{name}", (field.annotation, *get_args(field.annotation))


KEYS = tuple(key for key, _, _ in flatten(Settings.model_construct()))


SECRET_KEYS = frozenset(key for key, value in _field_types(Settings) if SecretStr in value)
# Groups that hold a password: a slip may put it where another setting belongs, so no value of theirs is shown.
SECRET_GROUPS = frozenset(key.partition(".")[0] for key in SECRET_KEYS)


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "_").upper()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{where}: not YAML ({_problem(error)})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "a single value"
        raise UsageError(f"{path}: holds {kind}; right are groups of settings such as server: {{port: 9464}}")
    # A group with nothing under it keeps its defaults.
    empty: dict[str, Any] = {str(key): [] if key == RECIPES else {} for key, value in content.items() if value is None}
    return {str(key): value for key, value in content.items()} | empty


def _problem(error: Exception) -> str:
    """What the YAML parser found, without what it quotes of the file, which may be a password."""
    problem = getattr(error, "problem", None) or "not text"
    return re.split(r"['\"]", problem, maxsplit=1)[0].strip().removesuffix(":")


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Key and value of `--set key=value`. Raises UsageError, which shows no value."""
    key, equals, text = assignment.partition("=")
    if not equals:
        known = f" {key}" if key in KEYS else ""
        raise UsageError(f"--set{known}: right is --set key=value, such as --set server.port=0")
    if key in SECRET_KEYS:
        return key, text  # as it is: a password of digits is no number
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {_shown(key)}: not YAML ({_problem(error)})") from None


def _shown(key: str) -> str:
    """A key that is not known, where it is nothing but a name."""
    return key if re.fullmatch(r"[A-Za-z_.]{1,60}", key) else "(not a name)"


def _refuse_unknown(flags: Mapping[str, Any], file: Mapping[str, Any], path: Path | None) -> None:
    for key in flags:
        if key == RECIPES:
            raise UsageError(f"--set {RECIPES}: recipes are a list in the settings file (--config)")
        if key not in KEYS:
            raise UsageError(f"--set {_shown(key)}: unknown setting{_closest(key, KEYS)}")
    for group, fields in file.items():
        if group == RECIPES:
            continue
        for key in [f"{group}.{name}" for name in fields] if isinstance(fields, dict) and fields else [f"{group}."]:
            if not any(known == key or (key.endswith(".") and known.startswith(key)) for known in KEYS):
                # `kafka: {password hunter2}` is a key without a value: then the key may be what is secret.
                bare = group in SECRET_GROUPS and isinstance(fields, dict) and fields[key.partition(".")[2]] is None
                named = group if bare else _shown(key.rstrip("."))
                raise UsageError(f"{path}: {named}: unknown setting{_closest(key, KEYS)}")
    variables = [_variable(key) for key in KEYS]
    groups = tuple({_variable(key.split(".")[0]) + "_" for key in KEYS})
    for name in sorted(os.environ):
        close = difflib.get_close_matches(name, variables, 1, MIN_SIMILARITY_OF_VARIABLE)
        if name not in variables and (name.startswith(groups) or (name.startswith(PREFIX) and close)):
            raise UsageError(f"environment: {name}: unknown setting{_closest(name, variables)}")


def _named(place: tuple[int | str, ...]) -> str:
    """A setting by its place in what was given; recipes are counted from 1."""
    if len(place) > 1 and place[0] == RECIPES:
        return ": ".join((f"recipe {int(place[1]) + 1}", *map(str, place[2:])))
    if place[:2] == ACTIONS and len(place) > 2:
        inner = tuple(str(one + 1) if isinstance(one, int) else one for one in place[2:])
        return f"{'.'.join(ACTIONS)}: {' '.join(('action', *inner)).replace('rules ', 'rule ')}"
    return ".".join(map(str, place))


def _closest(name: str, known: list[str] | tuple[str, ...]) -> str:
    found = difflib.get_close_matches(name, known, 1, MIN_SIMILARITY_OF_SUGGESTION)
    return f"; did you mean {found[0]}?" if found else f"; known are {', '.join(known)}"


def _explain(error: ErrorDetails) -> str:
    """What pydantic found wrong, without the name of the setting; of a secret group without the value."""
    if error["type"] == "value_error":  # ours
        return error["msg"].removeprefix("Value error, ")
    is_secret = bool(error["loc"]) and error["loc"][0] in SECRET_GROUPS
    is_recipe = bool(error["loc"]) and error["loc"][0] == RECIPES
    if error["type"] == "extra_forbidden" and is_recipe:
        return f"unknown setting{_closest(str(error['loc'][-1]), tuple(RecipeSettings.model_fields))}"
    if is_recipe and error["type"] == "missing":
        return "not given; right is a model file, such as model: bottle.onnx"
    if is_recipe and len(error["loc"]) <= 2 and error["type"].endswith("_type"):
        return "should be a list of recipes, such as recipes: [{product: bottle, model: bottle.onnx}]"
    if is_recipe and error["type"] == "string_type" and isinstance(error["input"], int | float):
        return f"{error['input']} should be a text: in quotes"
    if error["loc"][:2] == ACTIONS and len(error["loc"]) > 2:
        if error["type"] == "extra_forbidden":
            known = RuleSettings if "rules" in error["loc"] else TargetSettings
            return f"unknown setting{_closest(str(error['loc'][-1]), tuple(known.model_fields))}"
        if error["type"] == "missing":
            return "not given"
    if error["type"] == "extra_forbidden":
        return f"unknown setting{_closest('.'.join(map(str, error['loc'])), KEYS)}"
    given = "" if is_secret else f"{_shown_value(error['input'])} "
    if error["type"] == "path_type":
        return f"{given}should be a path"
    if error["type"] == "model_type":
        return f"{given}should be a group of settings, such as server: {{port: 9464}}"
    return given + error["msg"].replace("Input should", "should")


def _shown_value(value: Any) -> str:
    # Where one value belongs, a list or a group may be users with their passwords.
    if isinstance(value, Mapping):
        return "a group"
    if isinstance(value, list | tuple):
        return "a list"
    return (repr(show_address(value)) if isinstance(value, str) else hide_addresses(repr(value)))[:80]


def _origin(key: str, flags: Mapping[str, Any], config: Path | None) -> str:
    """Where a wrong value was given, as a prefix of its key."""
    if any(flag == key or flag.startswith(f"{key}.") for flag in flags):
        return ""
    if any(os.environ.get(_variable(known)) for known in KEYS if f"{key}.".startswith(f"{known}.")):
        return f"environment: {_variable(key)}: "
    return "" if config is None else f"{config}: "


def nested(flags: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by dotted key as groups: {"server.port": 0} as {"server": {"port": 0}}."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in flags.items():
        group, name = key.split(".")
        groups.setdefault(group, {})[name] = value
    return groups
