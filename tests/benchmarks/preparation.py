"""What a frame costs before the network, now and at an earlier commit: python -m tests.benchmarks.preparation COMMIT

CPU milliseconds to decode, crop, resize and rate a frame from memory, of JPEG and PNG, with the code of this checkout
and of a work tree of COMMIT in turn, and the share of the whole that the difference is, with the network of --model on
one thread. The best of the rounds counts: whatever else the machine does can only add to it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
from andon_monitor import load

from tests.fixtures.pages import ROOT

PASSES = 8  # over all frames, in one measurement
WORKER = """
import sys, time
from pathlib import Path
from andon_monitor.model import imaging
from andon_monitor.model.card import InputSpec
frames = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
side, passes = int(sys.argv[2]), int(sys.argv[3])
spec = InputSpec(height=side, width=side, channels=1, frame_size=(int(sys.argv[4]), int(sys.argv[5])))
def prepare():
    for data in frames:
        pixels = imaging.load(data, spec)
        imaging.brightness(pixels), imaging.sharpness(pixels)
prepare()
started = time.process_time()
for _ in range(passes):
    prepare()
print((time.process_time() - started) / passes / len(frames) * 1000)
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("commit", help="earlier commit, whose packages have today's names")
    parser.add_argument("--model", type=Path, required=True, help="model of grey square frames")
    parser.add_argument("--frames", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = folder / "before"
        tree = ["git", "worktree", "add", "--detach", "--quiet", str(before), given.commit]
        subprocess.run(tree, cwd=ROOT, check=True)
        try:
            measure(folder, before, given.model, sorted(given.frames.iterdir())[: given.count], given.rounds)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=ROOT, check=True)


def measure(folder: Path, before: Path, model: Path, pictures: Sequence[Path], rounds: int) -> None:
    """Print a row for each format."""
    autoencoder = load(model)
    side = autoencoder.card.input.height
    pixels = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in pictures]
    network = network_cost(model, pictures)
    print(f"network: {network:.2f} ms")
    for ending in ("jpg", "png"):
        frames = folder / ending
        frames.mkdir()
        for i, picture in enumerate(pixels):
            assert picture is not None, pictures[i]
            cv2.imwrite(str(frames / f"{i:04d}.{ending}"), picture)
        height, width = pixels[0].shape[:2]
        arguments = [str(frames), str(side), str(PASSES), str(height), str(width)]
        best = {tree: float("inf") for tree in (before, ROOT)}
        for _ in range(rounds):
            for tree in best:
                best[tree] = min(best[tree], prepared(tree, arguments))
        difference = best[ROOT] - best[before]
        print(
            f"{ending}: before {best[before]:.2f} ms, now {best[ROOT]:.2f} ms, "
            f"{difference / (network + best[before]):+.1%} of the whole"
        )


def prepared(tree: Path, arguments: Sequence[str]) -> float:
    """CPU milliseconds a frame with the code of a tree."""
    command = [sys.executable, "-c", WORKER, *arguments]
    environment = {"PYTHONPATH": str(tree / "monitor"), "OMP_NUM_THREADS": "1", "PATH": ""}
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def network_cost(model: Path, pictures: Sequence[Path]) -> float:
    """CPU milliseconds a frame of the network alone, on one thread."""
    autoencoder = load(model, threads=1)
    frames = [autoencoder.read(path) for path in pictures[:20]]
    autoencoder.score(frames[0][None])
    best = float("inf")
    for frame in frames:
        started = time.process_time()
        autoencoder.score(frame[None])
        best = min(best, time.process_time() - started)
    return best * 1000


if __name__ == "__main__":
    main()
