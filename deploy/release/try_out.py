"""Install the wheel and the source archive of a release as a user does, and do the main job with each.

    python deploy/release/try_out.py dist

with the Python that runs it, in a new environment, away from the repository: sample, fit, evaluate, run, verdicts.
Dependencies are the locked ones. `--wheel-only` leaves out the source archive, `--python` takes another Python.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import locked  # noqa: E402

SAMPLE = ["sample", "part", "--train", "10", "--test-good", "2", "--test-defects", "1", "--stream", "4"]
FIT = ["fit", "part", "-o", "part.onnx", "--iterations", "2", "--batch", "4", "--side", "64", "--size", "small"]
RUN = ["run", "--model", "part.onnx", "--source", "part/stream", "--verdicts", "verdicts.jsonl", "--no-server"]


def packages(dist: Path) -> tuple[Path, Path]:
    """Wheel and source archive of a release, in which archives of images end as the latter does."""
    wheels = list(dist.glob("andon-*.whl"))
    if len(wheels) != 1:
        sys.exit(f"{dist}: {len(wheels)} wheels; give a folder with one, as make release leaves it")
    version = wheels[0].name.split("-")[1]
    return wheels[0], dist / f"andon-{version}.tar.gz"


def main() -> None:
    """Try out each artefact, or say in one line which failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path, help="the folder of the release")
    parser.add_argument("--python", default=sys.executable, help="default: the one that runs this")
    parser.add_argument("--wheel-only", action="store_true")
    arguments = parser.parse_args()
    wheel, source = packages(arguments.dist.resolve())
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        run(arguments.python, "-m", "venv", environment, cwd=Path(folder))
        locked.install_uv(environment)
        locked.install(environment, locked.requirements_of(["trainer-base", "cpu"]))
        locked.install_torch_for_cpu(environment)
        locked.install(environment, locked.pinned(["hatchling", "hatch-vcs"]))
        for artefact in [wheel] if arguments.wheel_only else [wheel, source]:
            work = Path(folder) / artefact.name
            work.mkdir()
            locked.uv(environment, "--no-deps", "--no-build-isolation", "--reinstall", str(artefact), say=None)
            started = time.monotonic()
            main_job(environment, work)
            print(f"{artefact.name}: installed and run in {time.monotonic() - started:.0f} s, {version(environment)}")


def main_job(environment: Path, work: Path) -> None:
    """From images of good parts to verdicts."""
    trainer, monitor = (locked.python_of(environment).with_name(f"andon-{name}") for name in ("trainer", "monitor"))
    run(trainer, *SAMPLE, cwd=work)
    run(trainer, *FIT, cwd=work)
    run(trainer, "evaluate", "part.onnx", "part", cwd=work)
    run(monitor, *RUN, cwd=work)
    verdicts = (work / "verdicts.jsonl").read_text().splitlines()
    if len(verdicts) != 4:
        sys.exit(f"failed: {len(verdicts)} verdicts of 4 frames")


def version(environment: Path) -> str:
    """The version of Python and of what is installed."""
    code = (
        "import platform, andon_monitor; print(f'Python {platform.python_version()}, andon', andon_monitor.__version__)"
    )
    return run(locked.python_of(environment), "-c", code, cwd=environment)


def run(*command: str | Path, cwd: Path) -> str:
    """What a program prints; its failure ends the trial."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    main()
