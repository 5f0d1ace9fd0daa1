"""Install packages in their locked versions, each file checked against the hashes in constraints.txt.

    python tools/locked.py cpu,camera --into /opt/andon

installs what the extras cpu and camera of pyproject.toml need into a virtual environment, but not the project itself.
`make lock` writes constraints.txt, for every extra, system and version of Python. uv does both: unlike pip it takes
hashes from a file of constraints. Indexes are those that are configured for pip, or in uv's own variables.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "constraints.txt"
TORCH_FOR_CPU = ROOT / "torch-cpu.txt"
ASKED_FOR_A_GPU = "nvidia-cuda-runtime"  # the library that torch asks whether there is a GPU
PIN = re.compile(r"^([a-z0-9.-]+)==([^ ;]+)(?: ; ([^\\]+))?", re.MULTILINE)
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(\[[^\]]*\])?[^;]*(?:;(.*))?$")
# What is shown of uv's output: downloads of more than 10 MB, the number of packages, and everything from an error on.
PROGRESS = re.compile(r"^(Downloading .*\((\d{2,}\.\dMiB|.*GiB)\)|Installed|Uninstalled)")


def main() -> None:
    """Install what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml; none: only the project's own needs")
    parser.add_argument("--into", type=Path, required=True, help="the virtual environment")
    parser.add_argument(
        "--torch",
        choices=("cpu", "stubs"),
        help="also torch, for a machine without a GPU; stubs: the "
        "GPU libraries of the usual build are left out, and deploy/docker/cpu_torch.sh replaces them",
    )
    parser.add_argument("--only", nargs="+", metavar="PACKAGE", help="these packages instead of the project's")
    parser.add_argument("--uv", action="store_true", help="only uv, by pip: the environment needs pip")
    arguments = parser.parse_args()
    if arguments.uv:
        install_uv(arguments.into)
        return
    extras = ",".join(arguments.extras).split(",") if arguments.extras else []
    install(arguments.into, pinned(arguments.only) if arguments.only else requirements_of(extras))
    if arguments.torch:
        install_torch_for_cpu(arguments.into, stubs=arguments.torch == "stubs")


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def requirements_of(extras: Iterable[str]) -> list[str]:
    """What the project and its extras need, each pinned to the version in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]

    def expanded(names: Iterable[str]) -> list[str]:
        lines: list[str] = []
        for name in names:
            if name not in optional:
                sys.exit(f"{name}: no extra of pyproject.toml; there are {', '.join(optional)}")
            for line in optional[name]:
                own = re.fullmatch(r"andon\[(.*)\]", line)
                lines += expanded(own[1].split(",")) if own else [line]
        return lines

    return pinned([*project["dependencies"], *expanded(extras)])


def pinned(lines: Iterable[str]) -> list[str]:
    """Each requirement in the versions that the lock has of it: one, or one for each marker."""
    lock: dict[str, list[tuple[str, str]]] = {}
    for name, version, marker in PIN.findall(LOCK.read_text(encoding="utf-8")):
        lock.setdefault(name, []).append((version, marker.strip()))
    found = []
    for line in lines:
        parts = REQUIREMENT.match(line)
        name = re.sub(r"[._-]+", "-", parts[1]).lower() if parts else ""
        if parts is None or name not in lock:
            sys.exit(f"{line}: not in {LOCK.name}; run make lock")
        for version, marker in lock[name]:
            markers = [f"({text.strip()})" for text in (parts[3], marker) if text and text.strip()]
            found.append(f"{name}{parts[2] or ''}=={version}" + (f" ; {' and '.join(markers)}" if markers else ""))
    return found


def install_uv(environment: Path) -> None:
    """uv itself, by pip, checked against its hashes in the lock."""
    block = re.search(r"^uv==(?:.*\\\n)+.*\n", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert block is not None, "the lock has no uv"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "uv.txt"
        file.write_text(block[0])
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--requirement", str(file)]
        subprocess.run([str(python_of(environment)), "-m", "pip", "install", *options], check=True)


def install(
    environment: Path, requirements: list[str], *options: str, say: Callable[[str], None] = lambda text: print(text)
) -> None:
    """Install requirements and all that they need; with `--no-deps` among the options, only themselves."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("\n".join(requirements) + "\n")
        hashes = ("--require-hashes", "--constraint", str(LOCK), "--requirement", str(file))
        uv(environment, *hashes, *options, say=say)


def install_torch_for_cpu(
    environment: Path, say: Callable[[str], None] = lambda text: print(text), stubs: bool = False
) -> None:
    """torch's CPU build where an index is configured that has it, else the usual build made smaller.

    With `stubs` that one cannot be imported before deploy/docker/cpu_torch.sh has replaced its GPU libraries.
    Only the usual build's hashes are in the lock: the CPU build comes unchecked from the index that was chosen for it.
    """
    lines = [line for line in TORCH_FOR_CPU.read_text().splitlines() if not line.startswith("#")]
    others = [line for line in lines if not line.startswith(("torch", "nvidia-"))]
    torch = pinned(["torch"])[0]
    try:
        uv(environment, "--no-deps", f"{torch}+cpu", say=None)
    except subprocess.CalledProcessError:
        if stubs:
            say("torch: no CPU build found, so the usual build without its GPU libraries")
            lines = [line for line in lines if not line.startswith("nvidia-") or line.startswith(ASKED_FOR_A_GPU)]
        else:
            say("torch: no CPU build found, so with the GPU libraries that it loads at import")
        install(environment, pinned(lines), "--no-deps", say=say)
    else:
        install(environment, pinned(others), "--no-deps", say=say)


def uv(environment: Path, *arguments: str, say: Callable[[str], None] | None) -> None:
    """Run `uv pip install` in an environment, with progress by `say`. Raises CalledProcessError."""
    # As pip does: the best version of all indexes. The hashes decide what may be installed.
    options = ["--index-strategy", "unsafe-best-match", "--color", "never"]
    command = ["uv", "pip", "install", "--python", str(python_of(environment)), *options, *arguments]
    own = python_of(environment).with_name("uv.exe" if os.name == "nt" else "uv")
    if own.exists():
        command[0] = str(own)
    environ = {"UV_COMPILE_BYTECODE": "1"} | os.environ | indexes_of_pip()
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stderr is not None
        failed = False
        for line in process.stderr:
            failed = failed or line.startswith(("error", "  ×"))
            if say is not None and (failed or PROGRESS.match(line)):
                say(f"  {line.rstrip()}")
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def indexes_of_pip() -> dict[str, str]:
    """uv's variables for the indexes and certificates that pip is configured with, where uv's own are not set."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    configured = dict(re.findall(r"^\S+?\.([a-z-]+)='(.*)'$", listed, re.MULTILINE))
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}
    return {
        variable: re.sub(r"(\\n|\s)+", " ", configured[option]).strip()
        for option, variable in names.items()
        if configured.get(option) and variable not in os.environ
    }


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"failed: {' '.join(map(str, error.cmd))}")
