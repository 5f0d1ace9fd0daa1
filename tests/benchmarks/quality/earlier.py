"""The default `fit` of an earlier commit, on the same images: the method `commit:REVISION` of the quick yardstick."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from andon_monitor.model.file import SCORE
from andon_monitor.model.session import Session
from andon_trainer.data.dataset import Dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.sample import Sample
from numpy.typing import NDArray

from tests.benchmarks.models import input_of

CHECKOUTS = Path("build/commits")
# Where the command line was, by the folder that only this arrangement has.
ENTRIES = {"trainer/andon_trainer": "andon_trainer.cli.main", "trainer": "trainer.cli"}


def fit_of_commit(
    revision: str, learned: Dataset, options: list[str]
) -> Callable[[tuple[Sample, ...]], NDArray[np.float64]]:
    """What scores images after that commit's `fit` has learned from these, with these options of its command line."""
    folder = checkout(revision)
    entry = next(module for place, module in ENTRIES.items() if (folder / place).is_dir())
    paths = [folder, folder / "monitor", folder / "trainer"]
    with tempfile.TemporaryDirectory() as place:
        good, model = Path(place) / "good", Path(place) / "model.onnx"
        good.mkdir()
        for number, sample in enumerate(learned.train):
            (good / f"{number:05d}{sample.path.suffix}").symlink_to(sample.path.resolve())
        code = f"from {entry} import main; main()"
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            code,
            "fit",
            str(good),
            "-o",
            str(model),
            "--any-size",
            *options,
        ]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"error: fit of {revision}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        session = Session(model.read_bytes(), revision, "cpu")

    def score(samples: tuple[Sample, ...]) -> NDArray[np.float64]:
        scores: NDArray[np.float32] = session.run([SCORE], load_images(samples, input_of(session)))[0]
        return scores.astype(np.float64)

    return score


def checkout(revision: str) -> Path:
    """The files of a commit in a folder of their own."""
    full = subprocess.run(
        ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    folder = (CHECKOUTS / full).resolve()
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        part.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", full], stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(part)], input=archive, check=True)
        part.rename(folder)
    return folder
