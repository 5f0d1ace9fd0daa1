"""The wheel as a user gets it: built, installed into an empty environment, and at work without the repository."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://code.example/line/andon"


def build(target: Path, **environment: str) -> tuple[Path, Path]:
    """Build sdist and wheel with the hatchling of this environment. Returns their paths."""
    code = "import sys; from hatchling.build import *; print(build_sdist(sys.argv[1]), build_wheel(sys.argv[1]))"
    hidden = {"GITHUB_REPOSITORY", "ANDON_REPOSITORY"}
    clean = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, "-c", code, str(target)]
    done = subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sdist, wheel = done.stdout.split()
    return target / sdist, target / wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(tmp_path_factory.mktemp("dist"), ANDON_REPOSITORY=REPOSITORY)


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, which takes its dependencies from the one that runs the tests. Returns its bin."""
    folder = tmp_path_factory.mktemp("wheel") / "venv"
    venv.create(folder, with_pip=False)
    binaries = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(binaries / "python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(built[1])], check=True, capture_output=True, timeout=300)
    # A plain folder on the path: the .pth file of the editable install in it is not read.
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


def run(binaries: Path, program: str, *arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program of the environment as a user would: from another folder, without the repository on the path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANDON", "COV"))}
    done = subprocess.run(
        [binaries / program, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_wheel_holds_what_the_programs_need_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(built[1]).namelist()
    for package, folder in (("andon_monitor", "monitor"), ("andon_trainer", "trainer")):
        of_package = {name for name in names if name.startswith(f"{package}/")}
        on_disk = {
            str(path.relative_to(ROOT / folder))
            for path in (ROOT / folder / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert of_package == on_disk
        assert f"{package}/py.typed" in names
    others = {name.split("/")[0] for name in names} - {"andon_monitor", "andon_trainer"}
    assert len(others) == 1, others  # the metadata
    for licence in ("LICENSE", "NOTICE"):  # of the encoder in the trainer, too
        assert any(name.endswith(f".dist-info/licenses/{licence}") for name in names)
    assert any(name.endswith(".jinja") for name in names)
    assert any(name.endswith(".css") for name in names)


def test_a_wheel_can_be_built_from_the_source_archive(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    done = subprocess.run(
        [sys.executable, "-c", "from hatchling import build; print(build.build_wheel('.'))"],
        cwd=folder,
        env=os.environ | {"ANDON_REPOSITORY": REPOSITORY},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert zipfile.ZipFile(folder / done.stdout.strip()).namelist() == zipfile.ZipFile(built[1]).namelist()


def metadata(wheel: Path) -> tuple[dict[str, str], str]:
    """The project's URLs by name, and its long description."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    message = message_from_bytes(archive.read(name))
    urls = dict(entry.split(", ", 1) for entry in message.get_all("Project-URL", []))
    return urls, archive.read(name).decode().split("\n\n", 1)[1]


def test_pictures_and_links_also_work_on_an_index(built: tuple[Path, Path]) -> None:
    urls, description = metadata(built[1])
    assert urls["Issues"] == f"{REPOSITORY}/issues"
    assert f"]({REPOSITORY}/raw/HEAD/docs/pictures/heatmaps.jpg)" in description
    assert f"]({REPOSITORY}/blob/HEAD/docs/figures.md)" in description
    targets = [part.split(")")[0] for part in description.split("](")[1:]]
    assert [target for target in targets if "://" not in target and not target.startswith("#")] == []


def test_without_a_known_repository_the_description_has_no_dead_links(tmp_path: Path) -> None:
    urls, description = metadata(build(tmp_path)[1])
    assert urls == {}
    assert "](docs/" not in description
    assert "More figures" in description


def test_what_runs_comes_from_the_wheel(built: tuple[Path, Path], installed: Path, tmp_path: Path) -> None:
    code = "import andon_monitor, andon_trainer; print(andon_monitor.__file__, andon_trainer.__file__, sep='\\n')"
    for file in run(installed, "python", "-c", code, cwd=tmp_path).stdout.split():
        assert Path(file).is_relative_to(installed.parent)
    version = run(installed, "python", "-m", "andon_monitor", "--version", cwd=tmp_path).stdout
    assert version.split() == ["andon", built[1].name.split("-")[1]]
    code = "import andon_monitor, andon_trainer; print(andon_monitor.__version__, andon_trainer.__version__)"
    assert set(run(installed, "python", "-c", code, cwd=tmp_path).stdout.split()) == set(version.split()[1:])


def test_the_main_job_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    trainer, monitor = "andon-trainer", "andon-monitor"
    counts = ("--train", "10", "--test-good", "2", "--test-defects", "1", "--stream", "4")
    run(installed, trainer, "sample", "part", *counts, cwd=tmp_path)
    fit = (
        "--iterations",
        "2",
        "--batch",
        "4",
        "--side",
        "64",
        "--size",
        "small",
        "--threads",
        "1",
        "--report",
        "report.html",
    )
    run(installed, trainer, "fit", "part", "-o", "part.onnx", *fit, cwd=tmp_path)
    assert "<html" in (tmp_path / "report.html").read_text()
    watch = ("--source", "part/stream", "--verdicts", "verdicts.jsonl", "--evidence", "store", "--no-server")
    run(installed, monitor, "run", "--model", "part.onnx", *watch, cwd=tmp_path)
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 4
    assert (tmp_path / "store").is_dir()
