"""The examples in other languages give Python's scores, whatever has to be done to a frame."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from andon_monitor import load

from tests.fixtures.commands import PATIENCE
from tests.fixtures.components import skip_or_fail
from tests.fixtures.small_model import build_model

EXAMPLES = Path(__file__).parents[2] / "examples"
BUILD = Path(__file__).parents[2] / "build" / "examples"
# The header of onnxruntime's C API; the library is that of the Python package, which has no header.
HEADERS = "github.com/yalue/onnxruntime_go@v1.27.0"
# Of a camera's frame: width and height, and the region of interest. The model takes 32 x 32 pixels.
FRAMES = (
    ((64, 64), None),
    ((128, 96), None),
    ((90, 75), None),
    ((100, 80), (7, 9, 64, 64)),
    ((100, 80), (0, 3, 71, 50)),
)


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """A model file for each kind of frame, and a frame of noise."""
    folder = tmp_path_factory.mktemp("cases")
    found = []
    for number, (size, region) in enumerate(FRAMES):

        def changed(card: dict[str, Any], size: Any = size, region: Any = region) -> dict[str, Any]:
            return card | {"input": card["input"] | {"frame_size": size, "region": region}}

        model, frame = folder / f"{number}.onnx", folder / f"{number}.pgm"
        model.write_bytes(build_model(changed))
        cv2.imwrite(str(frame), np.random.default_rng(number).integers(0, 255, size[::-1], np.uint8))
        found.append((model, frame))
    return found


@pytest.fixture(scope="module")
def score_in_cpp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C++ example, compiled."""
    for program in ("g++", "go"):
        if shutil.which(program) is None:
            skip_or_fail(f"no {program} to compile the example with (go: to fetch a header)")
    folder = tmp_path_factory.mktemp("cpp")
    fetched = run("go", "mod", "download", "-json", HEADERS, cwd=folder)
    if fetched.returncode:
        skip_or_fail("the header of onnxruntime cannot be fetched here")
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"), None)
    if library is None:
        skip_or_fail(f"no libonnxruntime.so in the Python package for {sysconfig.get_platform()}")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(library)
    program = folder / "score"
    compile_ = ["g++", "-std=c++17", "-Wall", "-Werror", EXAMPLES / "cpp" / "score.cpp", "-o", program]
    compile_ += [f"-isystem{json.loads(fetched.stdout)['Dir']}", f"-L{folder}", "-lonnxruntime", f"-Wl,-rpath,{folder}"]
    done = run(*compile_)
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def score_in_javascript() -> Path:
    """The JavaScript example with what it needs; installed once for a clone, as it is large."""
    if shutil.which("npm") is None:
        skip_or_fail("no npm to fetch onnxruntime with")
    folder = BUILD / "javascript"
    shutil.copytree(EXAMPLES / "javascript", folder, dirs_exist_ok=True)
    # The package's own script would fetch libraries for GPUs.
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    if run(*install, cwd=folder).returncode:
        skip_or_fail("onnxruntime for JavaScript cannot be fetched here")
    return folder / "score.mjs"


def compare(command: list[str | Path], cases: list[tuple[Path, Path]]) -> None:
    """Each case gives Python's score, threshold and verdict."""
    for path, frame in cases:
        model = load(path, provider="cpu")
        expected = float(model.score(model.read(frame)[None])[0])
        done = run(*command, path, frame)
        assert done.returncode == 0, done.stderr
        name, score, threshold, verdict = done.stdout.split()
        assert name == str(frame)
        # A pixel that differs by one grey level changes the score by 8e-6.
        assert float(score) == pytest.approx(expected, abs=2e-6), path
        assert float(threshold) == pytest.approx(model.card.threshold, rel=1e-8)
        assert verdict == ("defect" if expected > model.card.threshold else "good")
    done = run(*command, cases[0][0], cases[1][1])
    assert done.returncode == 2
    assert "another size than the images that the model learned from" in done.stderr
    assert done.stderr.count("\n") == 1


def test_cpp(score_in_cpp: Path, cases: list[tuple[Path, Path]]) -> None:
    compare([score_in_cpp], cases)


def test_javascript(score_in_javascript: Path, cases: list[tuple[Path, Path]]) -> None:
    compare(["node", score_in_javascript], cases)
