"""Set up .venv with everything to fit, run, test and check: `python tools/set_up.py`, which make calls by itself.

All packages are locked: their versions and the hashes of their files are in constraints.txt. GPU libraries are
installed where there is an NVIDIA GPU, or with `--gpu 1`. Elsewhere torch's CPU build is taken if an index has it; if
not, the usual build, with those GPU libraries alone that it cannot be imported without.
"""

import argparse
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import locked

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv"
OLDEST = (3, 11, 5)  # the tools need it; the programs themselves run on 3.11.0


def main() -> None:
    """Set up the environment and say how large it is."""
    if sys.version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        sys.exit(f"the tests and tools of andon need Python {oldest} or newer, this is {sys.version.split()[0]}")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", choices=("auto", "0", "1"), default="auto", help="auto: 1 if there is an NVIDIA GPU")
    asked = parser.parse_args().gpu
    gpu = has_gpu() if asked == "auto" else asked == "1"
    started = time.monotonic()
    size = "about 6 GB with GPU libraries" if gpu else "2 to 5 GB, --gpu 1 (make GPU=1) adds the GPU libraries"
    say(f"setting up {VENV}: {size}; some minutes, once")
    venv.create(VENV, with_pip=True)
    locked.install_uv(VENV)
    remove_other_runtime("onnxruntime" if gpu else "onnxruntime-gpu")
    common = ("actions", "camera", "msk", "review", "dev", "release")
    if gpu:
        say("programs and tools, with torch and onnxruntime for GPUs")
        locked.install(VENV, locked.requirements_of(["trainer", "gpu", *common]), say=say)
    else:
        say("programs and tools")
        locked.install(VENV, locked.requirements_of(["trainer-base", "cpu", *common]), say=say)
        locked.install_torch_for_cpu(VENV, say=say)
    locked.uv(VENV, "--no-deps", "--no-build-isolation", "--editable", ".", say=say)
    say(f"done: {size_in_gigabytes(VENV):.1f} GB in {time.monotonic() - started:.0f} s")


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU with its driver."""
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def remove_other_runtime(other: str) -> None:
    """Uninstall both builds of onnxruntime if the other one is here: they share their files."""
    if pip("show", "--quiet", other).returncode == 0:
        pip("uninstall", "--yes", "onnxruntime", "onnxruntime-gpu")


def pip(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run pip in the environment, without a word."""
    return subprocess.run([locked.python_of(VENV), "-m", "pip", *arguments], cwd=ROOT, capture_output=True)


def size_in_gigabytes(folder: Path) -> float:
    """The size of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*")) / 1e9


def say(text: str) -> None:
    """Print a line at once, also into a file."""
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"set-up failed: {' '.join(map(str, error.cmd))}")
