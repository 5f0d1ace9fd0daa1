"""Neither program tells anybody else what it does."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.commands import andon
from tests.fixtures.small_model import build_model

# As on a line: a user's environment would name a cache, and that of CI keeps onnxruntime from reporting by itself.
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
SESSION = "import {program}, onnxruntime, sys; onnxruntime.InferenceSession(sys.argv[1])"


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "part.onnx"
    path.write_bytes(build_model())
    return path


def test_the_monitor_leaves_no_report_to_be_sent(model_path: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = andon("check", "--model", model_path, "--set", "server.port=0", env=ENVIRONMENT | {"HOME": str(home)})
    assert "self-test passed" in done.stdout, done.stdout + done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("program", ["andon_monitor", "andon_trainer.export.graph"])
def test_onnxruntime_is_told_so_whatever_is_imported_first(model_path: Path, tmp_path: Path, program: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-c", SESSION.format(program=program), str(model_path)]
    subprocess.run(command, env=ENVIRONMENT | {"HOME": str(home)}, check=True, timeout=60)
    assert list(home.iterdir()) == []
