"""What is said of the artefacts: changes, where they come from, checksums."""

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

CHECKSUMS = "SHA256SUMS"


def section_of(changelog: str, version: str) -> str:
    """The section of a version; of a version between two releases, what is unreleased."""
    sections = dict(re.findall(r"^## (\S+)[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL))
    name = version if version in sections else "Unreleased"
    if name == "Unreleased" and re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise SystemExit(f"no release: CHANGELOG.md has no section {version}, which is the version of the git tag")
    return f"# Andon {version}\n\n{sections[name].strip()}\n"


def source_of(root: Path) -> dict[str, str]:
    """Repository and commit that are built. The repository: ANDON_REPOSITORY, or that of the workflow."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True).stdout
    server, name = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    repository = os.environ.get("ANDON_REPOSITORY", f"{server}/{name}" if name else "")
    return {"repository": repository, "commit": commit.strip()}


def write_provenance(
    folder: Path, root: Path, source: dict[str, str], version: str, base: str, started: datetime
) -> None:
    """An in-toto statement in the form of SLSA provenance 1, of all files in the folder.

    It is not signed: who it is from is only known where the platform attests it, as the release workflow has it do.
    """
    image, _, digest = base.partition("@sha256:")
    dependencies = [
        {"uri": f"git+{source['repository']}", "digest": {"gitCommit": source["commit"]}},
        {"uri": "constraints.txt", "digest": {"sha256": sha256(root / "constraints.txt")}},
        {"uri": f"pkg:docker/{image}"} | ({"digest": {"sha256": digest}} if digest else {}),
    ]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": path.name, "digest": {"sha256": sha256(path)}}
            for path in sorted(folder.iterdir())
            if path.is_file()
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{source['repository']}/blob/{source['commit']}/deploy/release/release.py",
                "externalParameters": {"command": "make release", "version": version},
                "internalParameters": {"python": platform.python_version(), "system": platform.platform()},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": os.environ.get("GITHUB_WORKFLOW_REF", f"file://{platform.node()}")},
                "metadata": {
                    "invocationId": os.environ.get("GITHUB_RUN_ID", ""),
                    "startedOn": started.isoformat(timespec="seconds"),
                    "finishedOn": datetime.now(UTC).isoformat(timespec="seconds"),
                },
            },
        },
    }
    target = folder / f"andon-{version}.intoto.json"
    target.write_text(json.dumps(statement, indent=1) + "\n", encoding="utf-8")


def write_checksums(folder: Path) -> None:
    """Checksums as `sha256sum --check SHA256SUMS` reads them."""
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / CHECKSUMS).write_text("".join(lines))


def sha256(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
