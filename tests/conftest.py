"""Fixtures of all tests: a browser, a small sample part and a model fitted to it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.browser import launched
from tests.fixtures.commands import run_command

# Threads of torch that wait by spinning starve each other where tests share few cores with other programs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser that runs for as long as the tests do; see `tests.fixtures.browser.tab`."""
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
