"""An earlier commit's files, and what becomes of a commit that cannot fit."""

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_trainer.data.dataset import open_dataset

from tests.benchmarks.quality.earlier import checkout, fit_of_commit

COMMAND = "trainer/cli.py"


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose first commit has a command line that refuses everything; its second has none."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"AUTHOR": "a", "COMMITTER": "a"}.items():
        monkeypatch.setenv(f"GIT_{name}_NAME", value)
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    git("init", "--quiet")
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer/__init__.py").touch()
    (tmp_path / COMMAND).write_text("import sys\n\n\ndef main():\n    sys.exit('error: ' + ' '.join(sys.argv[1:2]))\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    git("rm", "--quiet", COMMAND)
    git("commit", "--quiet", "--message", "second")
    return tmp_path


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True)


def test_a_checkout_has_the_files_of_its_commit_and_is_made_once(history: Path) -> None:
    first, second = checkout("HEAD~1"), checkout("HEAD")
    assert (first / COMMAND).is_file()
    assert not (second / COMMAND).exists()
    (first / "mark").touch()
    assert checkout("HEAD~1") == first
    assert (first / "mark").is_file()


def test_a_fit_that_fails_ends_with_its_own_line(history: Path) -> None:
    good = history / "good"
    good.mkdir()
    for i in range(4):
        cv2.imwrite(str(good / f"{i}.png"), np.full((64, 64), i, np.uint8))
    with pytest.raises(SystemExit, match=r"error: fit of HEAD~1: error: fit"):
        fit_of_commit("HEAD~1", open_dataset(good), ["--budget", "1s"])
