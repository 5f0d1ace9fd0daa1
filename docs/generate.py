"""Write docs/reference from the code: python -m docs.generate. A test says when a page and the code differ."""

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from andon_monitor.telemetry.catalogue import Metric
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

FOLDER = Path(__file__).parent / "reference"
ALERTS = Path(__file__).parents[1] / "deploy" / "prometheus" / "rules" / "alerts.yml"
WRITTEN_BY = "<!-- Written by `python -m docs.generate`: change the code, then run it. -->\n\n"
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", SecretStr: "secret"}
EXIT_CODES = "Exit codes: 0 done, 1 the answer is no (a check or a limit failed), 2 wrong use, 130 interrupted.\n"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "trainer.md": trainer_page(),
        "monitor.md": monitor_page(),
        "settings.md": settings_page(),
        "metrics.md": metrics_page(),
        "alerts.md": alerts_page(),
    }


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a bar within a cell is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def code(text: str) -> str:
    """Text as code, nothing where there is none."""
    return f"`{text}`" if text else ""


def trainer_page() -> str:
    """The commands of andon-trainer."""
    from andon_trainer.cli.main import app

    return commands_page("andon-trainer", typer.main.get_command(app), "Every command answers to `--help`.")


def monitor_page() -> str:
    """The commands of andon-monitor."""
    from andon_monitor.cli.main import app

    note = (
        "Every command answers to `--help`. `--set KEY=VALUE` sets any of the [settings](settings.md), and `--config` "
        "reads them from a file."
    )
    return commands_page("andon-monitor", typer.main.get_command(app), note)


def commands_page(program: str, group: Any, note: str) -> str:
    """A section for each command: what it does, its arguments and options."""
    text = f"# {program}\n\n{WRITTEN_BY}{group.help}\n\n{note} {EXIT_CODES}"
    for name, command in group.commands.items():
        if not command.hidden:
            text += f"\n## {program} {name}\n\n{paragraphs(command.help)}\n\n{parameters_table(command)}"
    return text


def paragraphs(text: str | None) -> str:
    """A docstring with one line for each paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def parameters_table(command: Any) -> str:
    """Arguments and options, what they take, their defaults."""
    rows = []
    for parameter in command.params:
        is_option = parameter.opts[0].startswith("-")
        names = ", ".join(code(name) for name in (*parameter.opts, *parameter.secondary_opts))
        if not is_option:
            names = code((parameter.metavar or parameter.name).upper())
        default = "required" if parameter.required else code(default_of(parameter.default))
        rows.append([names, takes(parameter), default, parameter.help or ""])
    return table(["option", "takes", "default", "meaning"], rows)


def takes(parameter: Any) -> str:
    """What may stand after an option."""
    if getattr(parameter, "is_flag", False):
        return ""
    is_option = parameter.opts[0].startswith("-")
    text = (is_option and parameter.metavar) or type_name(parameter.type_descriptor.annotation)
    return text + (", several times" if getattr(parameter, "multiple", False) else "")


def default_of(value: Any) -> str:
    """A default as it would be written; nothing where there is none."""
    if value is None or value is False or value == () or value == [] or value == {} or value is PydanticUndefined:
        return ""
    if isinstance(value, bool):
        return "true"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def type_name(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin is typing.Literal:
        return ", ".join(code(str(choice)) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(type_name(one) for one in arguments if one is not type(None)))
    if listed_group(annotation) is not None:
        return "list, see below"
    if origin in (list, tuple):
        return f"list of {type_name(arguments[0])}"
    if origin is dict:
        return f"{type_name(arguments[1])} for each {'camera' if arguments[0] is str else 'name'}"
    return WORDS[annotation]


def settings_page() -> str:
    """Every setting of the monitor, by group."""
    from andon_monitor.settings.groups import PREFIX, Settings

    text = (
        f"# Settings\n\n{WRITTEN_BY}The monitor reads a setting from its flag, else from the environment, else from "
        "the YAML file of `--config`, else it takes the default. `server.port`, for example, is `--port 9464` or "
        f"`--set server.port=9464`, `{PREFIX}SERVER_PORT=9464`, or in the file\n\n"
        "```yaml\nserver:\n  port: 9464\n```\n\n"
        "`andon-monitor check` prints the value of every setting and tries whether a run with them would work.\n"
    )
    for group, field in Settings.model_fields.items():
        kind: Any = next(iter(typing.get_args(field.annotation)), field.annotation)  # of a list, what it has
        prefix = "" if kind is not field.annotation else f"{group}."
        rows = [
            [code(f"{prefix}{name}"), setting_type(one), default_of_setting(one), one.description or ""]
            for name, one in kind.model_fields.items()
        ]
        text += f"\n## {group}\n\n{paragraphs(kind.__doc__)}\n\n"
        text += table(["setting", "takes", "default", "meaning"], rows)
        for name, one in kind.model_fields.items():
            text += list_tables(f"{group}.{name}", one.annotation)
    return text


def list_tables(name: str, annotation: Any) -> str:
    """The settings of what a list holds, such as those of a target in output.actions, and of lists within it."""
    kind = listed_group(annotation)
    if kind is None:
        return ""
    rows = [
        [code(key), setting_type(one), default_of_setting(one), one.description or ""]
        for key, one in kind.model_fields.items()
    ]
    text = f"\n### {name}\n\n{paragraphs(kind.__doc__)}\n\n" + table(["setting", "takes", "default", "meaning"], rows)
    return text + "".join(list_tables(f"{name}: {key}", one.annotation) for key, one in kind.model_fields.items())


def listed_group(annotation: Any) -> Any:
    """The group of settings of which a list holds any number, None where it holds something else."""
    if typing.get_origin(annotation) is typing.Annotated:
        return listed_group(typing.get_args(annotation)[0])
    arguments = typing.get_args(annotation)
    is_list = typing.get_origin(annotation) in (list, tuple)
    is_group = is_list and isinstance(arguments[0], type) and issubclass(arguments[0], BaseModel)
    return arguments[0] if is_group else None


def setting_type(field: FieldInfo) -> str:
    """What a setting may be, with its limits."""
    return type_name(field.annotation) + limits(field.metadata or inner_metadata(field.annotation))


def inner_metadata(annotation: Any) -> list[Any]:
    """The limits within `Annotated[...] | None`."""
    for one in typing.get_args(annotation):
        if typing.get_origin(one) is typing.Annotated:
            return [item for data in typing.get_args(one)[1:] for item in getattr(data, "metadata", [data])]
    return []


def limits(metadata: list[Any]) -> str:
    """`, above 0, below 1` and the like."""
    words = (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))
    found = [(word, getattr(item, key, None)) for key, word in words for item in metadata]
    return "".join(f", {word} {value:g}" for word, value in found if value is not None)


def default_of_setting(field: FieldInfo) -> str:
    """Unlike a flag's, a setting's false is a value."""
    if field.is_required():
        return "required"
    return "`false`" if field.default is False else code(default_of(field.default)) or "none"


def metrics_page() -> str:
    """Every metric that the monitor exposes."""
    from andon_monitor.telemetry.catalogue import CATALOGUE

    def labels(metric: Metric) -> str:
        known = [f"{name}: {', '.join(values)}" if values else name for name, values in metric.labels.items()]
        return "; ".join(known)

    text = (
        f"# Metrics\n\n{WRITTEN_BY}At `http://127.0.0.1:9464/metrics`. Units are base units (seconds, bytes). All "
        "series of a camera are there from its first frame on. Standard metrics of the process "
        "(`process_cpu_seconds_total`, `process_resident_memory_bytes`, ...) are there, too.\n"
    )
    components = dict.fromkeys(metric.component for metric in CATALOGUE)
    for component in components:
        rows = [
            [code(one.exposed_name), one.kind, labels(one), one.help] for one in CATALOGUE if one.component == component
        ]
        text += f"\n## {component}\n\n" + table(["metric", "type", "labels", "meaning"], rows)
    return text


def alerts_page() -> str:
    """Every alert of deploy/prometheus/rules, by severity."""
    text = (
        f"# Alerts\n\n{WRITTEN_BY}`critical`: parts are not inspected, or many are bad; go now. `warning`: today. Each "
        "name leads to its section of the [runbook](../operator/runbook.md). The rules need no editing: takt, silence "
        "and limits are [settings](settings.md) that the monitor exposes as metrics.\n"
    )
    alerts = list(alert_rules())
    for severity in ("critical", "warning", "none"):
        rows = [
            [
                f"[{one['alert']}](../operator/runbook.md#{one['alert'].lower()})",
                one.get("for", "at once"),
                words_of(one["annotations"]["description"]),
            ]
            for one in alerts
            if one["labels"]["severity"] == severity
        ]
        text += f"\n## Severity {severity}\n\n" + table(["alert", "after", "what people are told"], rows)
    return text


def alert_rules() -> Iterator[dict[str, Any]]:
    """The alerting rules as they are in the file."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        yield from (rule for rule in group["rules"] if "alert" in rule)


def words_of(template: str) -> str:
    """An annotation with `…` where Prometheus fills in a value."""
    parts = template.replace("{{", "\0").replace("}}", "\0").split("\0")
    return " ".join("".join("…" if i % 2 else part for i, part in enumerate(parts)).split())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
