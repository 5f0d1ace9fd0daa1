"""Models of anomalib, which lives in an environment of its own: what it is given, and what it gives back."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from andon_monitor.errors import AndonError
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

WORKER = Path(__file__).with_name("anomalib_worker.py")


@dataclass(frozen=True)
class Found:
    """A graph with the contract's outputs, and the scores that torch gave the held-out frames: float32 [N]."""

    graph: onnx.ModelProto
    scores: NDArray[np.float32]
    iterations: int
    seconds: float


def run_worker(python: str, name: str, images: Pixels, held_out: Pixels, seed: int, budget: float) -> Found:
    """Train anomalib's `name` on images uint8 [N, H, W, C] for `budget` seconds. Raises AndonError where it fails."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "train").mkdir()
        for i, image in enumerate(images):
            picture = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / "train" / f"{i:05d}.png"), picture)
        np.save(folder / "held_out.npy", held_out)
        command = [python, str(WORKER), name, place, str(seed), str(budget)]
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        done = subprocess.run(command, cwd=place, env=os.environ | threads, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AndonError(f"{name}: anomalib failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        with np.load(folder / "found.npz") as found:
            return Found(
                onnx.load(folder / "model.onnx"), found["scores"], int(found["iterations"]), float(found["seconds"])
            )
