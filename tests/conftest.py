"""What tests share: a small sample part, a model fitted to it, and the rule for components that are missing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Threads of torch that wait by spinning starve each other where tests share few cores with other programs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

REQUIRE_ALL = os.environ.get("ANDON_REQUIRE_ALL") == "1"


def skip_or_fail(why: str) -> None:
    """Skip a test whose real component cannot be had here; fail it where every component is required."""
    if REQUIRE_ALL:
        pytest.fail(f"{why} (ANDON_REQUIRE_ALL=1)")
    pytest.skip(why)


def run_command(*arguments: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a console script of this project as a user would."""
    program = Path(sys.executable).parent / str(arguments[0])
    return subprocess.run(
        [program, *map(str, arguments[1:])], capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser that runs for as long as the tests do; see `tests.browser.tab`."""
    from tests.browser import launched

    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample part: 32 good parts to learn from, a few of everything to test with, a stream of 40 frames."""
    from andon_trainer.sample.render import write_sample

    folder = tmp_path_factory.mktemp("sample") / "part"
    write_sample(folder, seed=1, train=32, test_good=6, test_defects=1, stream=40)
    return folder


@pytest.fixture(scope="session")
def model_file(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted to the small sample by the command line: a real one, though trained for seconds only."""
    path = tmp_path_factory.mktemp("model") / "part.onnx"
    done = run_command(
        "andon-trainer", "fit", sample_folder, "-o", path, "--iterations", "40", "--side", "96", "--threads", "1"
    )
    assert done.returncode == 0, done.stderr
    return path
