"""What pages name in passing exists: commands with their options, settings, metrics, files of the repository."""

import re
from pathlib import Path

import pytest
import typer
from andon_monitor.cli.main import app as monitor_app
from andon_monitor.settings.groups import Settings
from andon_monitor.settings.loading import KEYS
from andon_monitor.telemetry.catalogue import CATALOGUE
from andon_trainer.cli.main import app as trainer_app

from tests.fixtures.pages import ROOT, page_files

SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
COMMANDS = {
    "andon-trainer": typer.main.get_command(trainer_app).commands,  # type: ignore[attr-defined]
    "andon-monitor": typer.main.get_command(monitor_app).commands,  # type: ignore[attr-defined]
}
METRICS = {metric.exposed_name for metric in CATALOGUE}
GROUPS = tuple(f"{group}." for group in Settings.model_fields)


def spans(path: Path) -> list[str]:
    """Everything that a page has as code within a line."""
    without_blocks = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return SPAN.findall(without_blocks)


pages = pytest.mark.parametrize("path", page_files(), ids=lambda path: str(path.relative_to(ROOT)))


@pages
def test_commands_and_options_exist(path: Path) -> None:
    for span in spans(path):
        program, _, rest = span.partition(" ")
        if program in COMMANDS and rest and not rest.startswith("-"):
            name, *words = rest.split()
            assert name in COMMANDS[program], span
            known = {option for one in COMMANDS[program][name].params for option in (*one.opts, *one.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= known | {"--help"}, span


@pages
def test_settings_exist(path: Path) -> None:
    named = {span.partition(":")[0] for span in spans(path) if span.startswith(GROUPS)}
    files = {name for name in named if re.search(r"\.(onnx|jsonl?|py|yml|md)$", name)}
    assert named - files - set(KEYS) == set()


@pages
def test_metrics_exist(path: Path) -> None:
    named = {found for span in spans(path) for found in re.findall(r"^andon_[a-z_]+$", span)}
    packages = {"andon_trainer", "andon_monitor", "andon_"}
    assert named - packages - METRICS == set()


@pages
def test_files_of_the_repository_exist(path: Path) -> None:
    starts = ("deploy/", "docs/", "tests/", "monitor/", "trainer/", "andon_monitor/", "andon_trainer/")
    for span in spans(path):
        if span.startswith(starts) and " " not in span:
            places = (ROOT / span, ROOT / "monitor" / span, ROOT / "trainer" / span)
            assert any(place.exists() for place in places), span


def test_the_developers_page_lists_every_room() -> None:
    page = (ROOT / "docs" / "developer" / "index.md").read_text()
    folders = [
        path for package in ("monitor/andon_monitor", "trainer/andon_trainer") for path in (ROOT / package).iterdir()
    ]
    rooms = {path.name for path in folders if (path / "__init__.py").is_file()}
    assert {room for room in rooms if f"  {room}/ " not in page} == set()
