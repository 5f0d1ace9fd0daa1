"""The project's own files agree with each other: versions, requirements, workflows, changelog."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import andon_monitor
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What torch's wheel names and does without on a CPU; see torch-cpu.txt.
NOT_LOADED = {"triton", "cuda-bindings", "cuda-toolkit"}


def pins(name: str) -> dict[str, str]:
    """Package to version, of a file of requirements; without a version: an empty one."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(item.name): str(item.specifier).removeprefix("==") for item in parsed}


def requirements() -> list[Requirement]:
    """Everything that pyproject.toml names, with all extras."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [item for lines in lists for item in map(Requirement, lines) if item.name != "andon"]


def test_what_pyproject_names_is_pinned_within_its_range() -> None:
    pinned = pins("constraints.txt")
    for item in requirements():
        if item.name != "types-PyYAML":
            assert item.specifier, f"{item.name} has no range"
        version = pinned[canonicalize_name(item.name)]
        assert item.specifier.contains(version), f"{item}: constraints.txt has {version}"


@pytest.mark.parametrize("name", ["kafka-python", "mcap"])
def test_packages_whose_private_parts_are_used_are_limited_to_a_minor_version(name: str) -> None:
    (found,) = (item for item in requirements() if item.name == name)
    major, minor = pins("constraints.txt")[name].split(".")[:2]
    assert not found.specifier.contains(f"{major}.{int(minor) + 1}.0")


def test_torch_for_a_cpu_is_the_torch_that_is_pinned_with_what_it_loads() -> None:
    given = pins("torch-cpu.txt")
    assert given["torch"] == pins("constraints.txt")["torch"]
    for item in map(Requirement, requires("torch") or []):
        name = canonicalize_name(item.name)
        if (item.marker is None or item.marker.evaluate()) and name not in NOT_LOADED:
            assert name in given, f"torch needs {name}"
            assert not given[name] or item.specifier.contains(given[name]), f"torch needs {item}"


def test_workflows_run_the_versions_of_python_that_the_package_names() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text())
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert tested == named
    assert PROJECT["requires-python"] == f">={named[0]}"


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_run_targets_of_the_makefile(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = re.findall(r"run: make (.+)", path.read_text())
    assert run
    for line in run:
        assert set(re.findall(r"[a-z]+", re.sub(r"\$\{\{.*?&& '(\w+)' \|\| '(\w+)' \}\}", r"\1 \2", line))) <= targets


def test_the_changelog_has_the_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert andon_monitor.__version__ in headings
