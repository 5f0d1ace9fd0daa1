"""What model files cost, side by side: python -m tests.benchmarks.models MODEL ... --frames FOLDER

Each file is a process of its own, and they take turns in every round. Of each: milliseconds of a core for the score of
a frame (median of frames, best round), frames a second on all cores, resident memory with the model and without, and
the size of the file. Frames are loaded beforehand: decoding costs every model the same. A file of an earlier version is
measured as this version's monitor runs it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from andon_monitor.model.card import CARD_KEY, InputSpec
from andon_monitor.model.file import SCORE
from andon_monitor.model.imaging import load
from andon_monitor.model.session import Session
from rich.console import Console
from rich.table import Table

from tests.benchmarks.replay_memory import resident

FRAMES, WARM_UP, SECONDS = 60, 5, 3.0
out = Console(width=120)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--frames", type=Path, required=True, help="folder of images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    for path in (*given.models, given.frames):
        if not path.exists():
            parser.error(f"{path}: no such file or folder")
    if given.worker:
        print(json.dumps(measure(given.models[0], given.frames)))
        return
    found: dict[Path, list[dict[str, float]]] = {model: [] for model in given.models}
    for turn in range(given.rounds):
        for model in given.models if turn % 2 == 0 else reversed(given.models):
            command = [sys.executable, "-m", "tests.benchmarks.models", str(model), "--frames", str(given.frames)]
            done = subprocess.run([*command, "--worker"], stdout=subprocess.PIPE, text=True, check=True)
            found[model].append(json.loads(done.stdout.splitlines()[-1]))
    table = Table("model", "input", "ms of a core", "frames/s, all cores", "memory, MB", "file, MB")
    for model, rounds in found.items():
        spec = input_of(Session(model.read_bytes(), str(model), "cpu"))
        memory = max(each["memory"] for each in rounds), max(each["before"] for each in rounds)
        table.add_row(
            str(model),
            f"{spec.width} x {spec.height} x {spec.channels}",
            f"{min(each['milliseconds'] for each in rounds):.1f}",
            f"{max(each['rate'] for each in rounds):.0f}",
            f"{memory[0] / 1e6:.0f} ({memory[1] / 1e6:.0f} without)",
            f"{model.stat().st_size / 1e6:.1f}",
        )
    out.print(table)


def input_of(session: Session) -> InputSpec:
    """The input of a model, also of one whose card is of an earlier version."""
    given = json.loads(session.metadata[CARD_KEY])["input"]
    known = {name: given[name] for name in InputSpec.model_fields.keys() & given.keys()}
    return InputSpec.model_validate_json(json.dumps(known))


def measure(path: Path, folder: Path) -> dict[str, float]:
    """One model, here and now."""
    before = resident(os.getpid())
    content = path.read_bytes()
    session = Session(content, str(path), "cpu")
    images = sorted(each for each in folder.iterdir() if each.suffix.lower() in {".png", ".jpg", ".bmp"})[:FRAMES]
    frames = np.stack([load(image.read_bytes(), input_of(session)) for image in images])
    for i in range(WARM_UP):
        session.run([SCORE], frames[i % len(frames)][None])
    times = []
    for frame in frames:
        start = time.thread_time()
        session.run([SCORE], frame[None])
        times.append(time.thread_time() - start)
    memory = resident(os.getpid())
    parallel, done, start = Session(content, str(path), "cpu", threads=0), 0, time.monotonic()
    while time.monotonic() - start < SECONDS:
        parallel.run([SCORE], frames)
        done += len(frames)
    rate = done / (time.monotonic() - start)
    return {"before": before, "memory": memory, "milliseconds": 1000 * float(np.median(times)), "rate": rate}


if __name__ == "__main__":
    main()
