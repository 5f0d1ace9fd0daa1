"""Set up .venv with everything to fit, run, test and check: `python tools/set_up.py`, which make calls by itself.

GPU libraries are installed where there is an NVIDIA GPU, or with `--gpu 1`. Elsewhere torch's CPU build is taken if
pip finds one; if not, the usual build, with those GPU libraries alone that it cannot be imported without.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST = (3, 11)
# What is shown of pip's output: downloads of more than 10 MB, the start of installing, and errors.
DOWNLOAD = re.compile(r"(?:Downloading|Using cached) ([^-]+)-([^-]+)-\S+ \((\d{2,}\.\d MB|\S+ GB)\)")
INSTALLING = "Installing collected packages:"


def main() -> None:
    """Set up the environment and say how large it is."""
    if sys.version_info < OLDEST:
        sys.exit(f"andon needs Python 3.11 or newer, this is {sys.version.split()[0]}")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", choices=("auto", "0", "1"), default="auto", help="auto: 1 if there is an NVIDIA GPU")
    asked = parser.parse_args().gpu
    gpu = has_gpu() if asked == "auto" else asked == "1"
    started = time.monotonic()
    size = "about 6 GB with GPU libraries" if gpu else "2 to 5 GB, --gpu 1 (make GPU=1) adds the GPU libraries"
    say(f"setting up {VENV}: {size}; some minutes, once")
    venv.create(VENV, with_pip=True)
    remove_other_runtime("onnxruntime" if gpu else "onnxruntime-gpu")
    if gpu:
        install(
            "programs and tools, with torch and onnxruntime for GPUs",
            "--editable",
            ".[trainer,gpu,actions,msk,camera,dev]",
        )
    else:
        install("programs and tools", "--editable", ".[trainer-base,cpu,actions,msk,camera,dev]")
        install_torch_for_cpu()
    say(f"done: {size_in_gigabytes(VENV):.1f} GB in {time.monotonic() - started:.0f} s")


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU with its driver."""
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def install_torch_for_cpu() -> None:
    """torch's CPU build where pip is configured with an index that has it, else the usual build made smaller."""
    cpu_build = f"torch=={pinned('torch')}+cpu"
    if pip("install", "--constraint", "constraints.txt", cpu_build).returncode != 0:
        install(
            "torch: no CPU build found, so with the GPU libraries that it loads at import",
            "--no-deps",
            "--requirement",
            "torch-cpu.txt",
        )


def pinned(name: str) -> str:
    """The version that constraints.txt gives a package."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line.split("==")[1] for line in lines if line.startswith(f"{name}=="))


def remove_other_runtime(other: str) -> None:
    """Uninstall both builds of onnxruntime if the other one is here: they share their files."""
    if pip("show", "--quiet", other).returncode == 0:
        pip("uninstall", "--yes", "onnxruntime", "onnxruntime-gpu")


def pip(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run pip in the environment, without a word."""
    return subprocess.run([PYTHON, "-m", "pip", *arguments], cwd=ROOT, capture_output=True)


def install(what: str, *arguments: str) -> None:
    """Install with pip and print what takes a while."""
    say(what)
    # Of torch's own requirements some are left out on purpose, see torch-cpu.txt.
    options = ["--disable-pip-version-check", "--no-warn-conflicts", "--constraint", "constraints.txt"]
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", *options, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := DOWNLOAD.search(line):
                say(f"  {found[1]} {found[2]}, {found[3]}")
            elif line.startswith(INSTALLING):
                say(f"  installing {line.count(',') + 1} packages")
            elif "error" in line.lower():
                say(f"  {line.strip()}")
    if process.returncode:
        sys.exit(f"set-up failed: {' '.join(map(str, command))}")


def size_in_gigabytes(folder: Path) -> float:
    """The size of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*")) / 1e9


def say(text: str) -> None:
    """Print a line at once, also into a file."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
