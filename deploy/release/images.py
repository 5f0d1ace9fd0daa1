"""Images of monitor and trainer, by buildah, as archives that `docker load` and `podman load` read."""

import os
import platform
import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILES = ROOT / "deploy" / "docker"
NAMES = ["monitor", "trainer"]
ARCHITECTURES = ["amd64", "arm64"]


def this_architecture() -> str:
    """What OCI calls the architecture of this machine."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def base() -> str:
    """The image that ours are built on: BASE_IMAGE, or what the Dockerfiles say."""
    found = re.search(r"^ARG BASE=(\S+)", (DOCKERFILES / "monitor.Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return os.environ.get("BASE_IMAGE", found[1])


def build(name: str, architecture: str, version: str, source: dict[str, str], folder: Path) -> Path:
    """Build an image and write it into a folder. Returns the archive. Raises CalledProcessError.

    In Docker's format, which has a health check; OCI's has none.
    """
    tag = f"andon-{name}:{version.replace('+', '-')}"  # a tag may not have a plus
    arguments = {
        "BASE": base(),
        "VERSION": version,
        "REVISION": source["commit"],
        "CREATED": datetime.now(UTC).isoformat(timespec="seconds"),
        "SOURCE": source["repository"],
    }
    command = ["buildah", "build", "--format", "docker", "--platform", f"linux/{architecture}"]
    command += ["--tag", f"localhost/{tag}"]
    command += [option for item in arguments.items() for option in ("--build-arg", "=".join(item))]
    command += shlex.split(os.environ.get("IMAGE_OPTIONS", ""))
    dockerfile = DOCKERFILES / f"{name}.Dockerfile"
    subprocess.run([*command, "--file", dockerfile, ROOT], check=True, stdout=subprocess.DEVNULL)
    archive = folder / f"andon-{name}-{version}-linux-{architecture}.tar"
    subprocess.run(["buildah", "push", "--quiet", f"localhost/{tag}", f"docker-archive:{archive}:{tag}"], check=True)
    return archive


def compress(archive: Path) -> None:
    """Compress an archive in its place, without its time."""
    subprocess.run(["gzip", "--no-name", archive], check=True)
