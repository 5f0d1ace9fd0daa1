"""`make release`: what it leaves in dist/, and that nothing half-made remains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.deploy import DEPLOY, run, script

RELEASE = DEPLOY / "release"
CHANGELOG = (
    "# Changelog\n\n## Unreleased\n\nNew.\n\n## 0.2.0 - 2026-12-01\n\n### Added\n\n- Two.\n\n## 0.1.0 - 2026-11-29\n"
)


def release(dist: Path, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(RELEASE / "release.py"), "--dist", str(dist), *options]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=600)


def test_a_release_holds_the_packages_and_what_is_said_of_them(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "of-the-last-release.whl").touch()
    done = release(dist, "--no-images")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]
    kinds = sorted(path.name.split("-")[0] + "".join(path.suffixes[-2:]) for path in dist.iterdir())
    assert len(kinds) == 7, kinds  # wheel, source archive, lock, SBOM, changes, provenance, checksums
    run("sh", "-c", f"cd {dist} && sha256sum --check --strict SHA256SUMS")
    (statement,) = (json.loads(path.read_text()) for path in dist.glob("*.intoto.json"))
    subjects = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    checksums = dict(line.split()[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert subjects.items() <= checksums.items()
    assert {Path(name).suffix for name in subjects} == {".whl", ".gz", ".txt", ".json", ".md"}
    (bom,) = (json.loads(path.read_text()) for path in dist.glob("*.cdx.json"))
    assert {"numpy", "torch", "kafka-python"} <= {item["name"] for item in bom["components"]}


def test_after_an_error_the_earlier_release_remains_and_nothing_else(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "of-the-last-release.whl").touch()
    done = release(dist, "--no-images", SETUPTOOLS_SCM_PRETEND_VERSION="9.9.9")  # as at a tag v9.9.9
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "no release: CHANGELOG.md has no section 9.9.9, which is the version of the git tag"
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["dist", "of-the-last-release.whl"]


@pytest.mark.parametrize(("version", "text"), [("0.2.0", "### Added\n\n- Two."), ("0.2.1.dev3+gabc", "New.")])
def test_the_changes_are_those_of_the_version(version: str, text: str) -> None:
    assert script(RELEASE / "statements.py")["section_of"](CHANGELOG, version) == f"# Andon {version}\n\n{text}\n"


def test_an_image_needs_buildah(tmp_path: Path) -> None:
    done = release(tmp_path / "dist", PATH=str(tmp_path))
    assert done.stderr == "the images need buildah, which is not installed; --no-images leaves them out\n"
    assert list(tmp_path.iterdir()) == []


def test_images_are_tried_out_only_where_there_are_some(tmp_path: Path) -> None:
    command = [sys.executable, str(RELEASE / "try_images.py"), str(tmp_path), "--architecture", "arm64"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"{tmp_path}: no images for arm64\n")


def test_images_next_to_the_packages_are_not_taken_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(RELEASE)
    packages = script(RELEASE / "try_out.py")["packages"]
    names = ["andon-0.2.0-py3-none-any.whl", "andon-0.2.0.tar.gz", "andon-monitor-0.2.0-linux-amd64.tar.gz"]
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.touch()
    assert packages(tmp_path) == (paths[0], paths[1])
    paths[0].unlink()
    with pytest.raises(SystemExit, match="0 wheels; give a folder with one"):
        packages(tmp_path)
