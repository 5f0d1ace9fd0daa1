"""The project's own files agree with each other: versions, requirements, workflows, changelog."""

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.fixtures.deploy import script

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What torch's wheel names and does without on a CPU; see torch-cpu.txt.
NOT_LOADED = {"triton", "cuda-bindings", "cuda-toolkit"}


def locked() -> dict[str, str]:
    """Package to version in the lock."""
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))


def requirements() -> list[Requirement]:
    """Everything that pyproject.toml names, with all extras."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [item for lines in lists for item in map(Requirement, lines) if item.name != "andon"]


def test_what_pyproject_names_is_pinned_within_its_range() -> None:
    pinned = locked()
    for item in requirements():
        if item.name != "types-PyYAML":
            assert item.specifier, f"{item.name} has no range"
        version = pinned[canonicalize_name(item.name)]
        assert item.specifier.contains(version), f"{item}: constraints.txt has {version}"


def test_no_file_has_marks_of_a_conflict() -> None:
    command = ["git", "grep", "-lI", "-e", "^<<<<<<< ", "-e", "^>>>>>>> "]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, ""), found.stderr


@pytest.mark.parametrize("name", ["kafka-python", "mcap"])
def test_packages_whose_private_parts_are_used_are_limited_to_a_minor_version(name: str) -> None:
    (found,) = (item for item in requirements() if item.name == name)
    major, minor = locked()[name].split(".")[:2]
    assert not found.specifier.contains(f"{major}.{int(minor) + 1}.0")


def test_every_locked_package_has_hashes_and_no_file_names_an_index() -> None:
    text = (ROOT / "constraints.txt").read_text()
    blocks = re.split(r"^(?=[a-z0-9.-]+==)", text, flags=re.MULTILINE)[1:]
    assert {block.split("==")[0] for block in blocks} == set(locked())
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text


def test_renovate_can_repeat_the_command_that_wrote_the_lock() -> None:
    """Renovate 44 ignores a lock whose header has an option that it does not know."""
    (command,) = re.findall(r"^#    (uv pip compile .*)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    known = {"--universal", "--python-version", "--generate-hashes", "--all-extras", "--output-file"}
    assert {option.split("=")[0] for option in re.findall(r"--\S+", command)} <= known
    made = re.sub(r"\\\n|\s+", " ", (ROOT / "Makefile").read_text())
    assert re.sub(r" --output-file.*", "", command) in re.sub(r" +", " ", made)


def test_requirements_of_extras_are_pinned_with_their_markers() -> None:
    lines = script(ROOT / "tools" / "locked.py")["requirements_of"](["cuda", "actions"])
    assert f"onnxruntime-gpu[cuda,cudnn]=={locked()['onnxruntime-gpu']}" in lines
    assert [line for line in lines if line.startswith("gpiod==") and "sys_platform == 'linux'" in line]
    assert f"numpy=={locked()['numpy']}" in lines
    assert not [line for line in lines if line.startswith(("andon", "torch", "pytest"))]


def test_a_file_that_is_not_the_locked_one_is_not_installed(tmp_path: Path) -> None:
    """A package of the right name and version, with other content, from an index that somebody else controls."""
    page = tmp_path / "index" / "mdurl" / "index.html"
    page.parent.mkdir(parents=True)
    wheel = page.with_name("mdurl-0.1.2-py3-none-any.whl")
    page.write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mdurl/__init__.py", "raise SystemExit('not the one')")
        archive.writestr("mdurl-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: mdurl\nVersion: 0.1.2\n")
        archive.writestr("mdurl-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr("mdurl-0.1.2.dist-info/RECORD", "")
    venv.create(tmp_path / "venv", with_pip=False)
    command = [sys.executable, ROOT / "tools" / "locked.py", "--only", "mdurl", "--into", tmp_path / "venv"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # uv of this environment
    only_this = {"UV_DEFAULT_INDEX": page.parents[1].as_uri(), "UV_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, env=os.environ | only_this | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Hash mismatch" in done.stdout
    assert not list((tmp_path / "venv").rglob("mdurl"))


def test_torch_for_a_cpu_is_the_locked_torch_with_what_it_loads() -> None:
    given = [line for line in (ROOT / "torch-cpu.txt").read_text().splitlines() if not line.startswith("#")]
    names = {canonicalize_name(Requirement(line).name) for line in given}
    assert names <= set(locked())
    for item in map(Requirement, requires("torch") or []):
        name = canonicalize_name(item.name)
        if (item.marker is None or item.marker.evaluate()) and name not in NOT_LOADED:
            assert name in names, f"torch needs {name}"
            assert item.specifier.contains(locked()[name]), f"torch needs {item}"


@pytest.mark.parametrize(
    ("packages", "text", "status"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], "no known vulnerabilities of 1 packages", 0),
        (
            [
                {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]},
                {"name": "c", "skip_reason": "?"},
            ],
            "b 2: CVE-1, fixed in 3\nnot audited, unknown to the package index: c",
            1,
        ),
        ([{"name": "c", "skip_reason": "?"}], "nothing audited: the package index serves no vulnerability data", 3),
    ],
)
def test_an_index_without_vulnerability_data_is_not_taken_for_packages_without(
    packages: list[dict[str, object]], text: str, status: int
) -> None:
    said, ended = script(ROOT / "tools" / "audit.py")["verdict"](packages)
    assert said.startswith(text)
    assert ended == status


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
        assert set(re.findall(r"[a-z-]+", re.sub(r"\$\{\{.*?&& '(\w+)' \|\| '(\w+)' \}\}", r"\1 \2", line))) <= targets


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    versions = headings[1:]
    assert versions == sorted(versions, key=Version, reverse=True)
