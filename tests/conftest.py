"""Fixtures of all tests: a browser, a small sample part and a model fitted to it. Which tests share a worker."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.remote import Producer

from tests.fixtures import preloaded
from tests.fixtures.browser import launched
from tests.fixtures.commands import run_command
from tests.fixtures.shared import build_once
from tests.fixtures.workers import Scheduling, order

# Threads of torch that wait by spinning starve each other where tests share few cores with other programs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the other cores have workers of their own


def pytest_configure(config: pytest.Config) -> None:
    """Workers share what takes seconds to import."""
    if getattr(config.option, "numprocesses", None) and "PYTEST_XDIST_WORKER" not in os.environ:
        preloaded.share()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Modules and tests stay: garbage is not looked for among them, neither while they are loaded nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one group follow each other, also without workers."""
    order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Tests of one group run on one worker."""
    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers more than cores: in many tests a broker, a browser, a camera or a monitor is waited for."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser that runs for as long as the tests do; see `tests.fixtures.browser.tab`."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample part: 32 good parts to learn from, a few of everything to test with, a stream of 40 frames."""
    from andon_trainer.sample.render import write_sample

    return build_once(
        tmp_path_factory,
        "sample",
        lambda folder: write_sample(folder, seed=1, train=32, test_good=6, test_defects=1, stream=40),
    )


@pytest.fixture(scope="session")
def model_file(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted to the small sample by the command line: a real one, though small and trained for seconds only."""

    def fit(path: Path) -> None:
        steps = ("--iterations", "24", "--batch", "8")
        quick = (*steps, "--side", "96", "--encoder", "none", "--threads", "1")
        done = run_command("andon-trainer", "fit", sample_folder, "-o", path, *quick)
        assert done.returncode == 0, done.stderr

    return build_once(tmp_path_factory, "part.onnx", fit)
