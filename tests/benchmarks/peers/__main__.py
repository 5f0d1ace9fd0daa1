"""The monitor and other tools, side by side: python -m tests.benchmarks.peers --anomalib PYTHON (make bench-peers)

    andon, monitor            the monitor with its default model, frames in memory
    andon, plain script       the same model file in the loop of a textbook, onnxruntime with its defaults
    textbook, plain script    a convolutional autoencoder in torch: decode, predict one frame, compare
    MODEL, Engine.predict     a model of anomalib's on a folder of the frames
    MODEL, TorchInferencer    the same, one image after the other
    MODEL, onnxruntime        its exported graph, one frame a call on all cores in whichever way is faster

Each is a process of its own on the same frames and cores, and they take turns in every round. Prints medians with their
range, as ratios to the monitor in the same round; writes JSON. Only speed is asked for: models have random weights.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.throughput import measure
from tests.benchmarks.ways import Job, Measurement
from tests.benchmarks.workloads import WORKLOADS

MODELS = ("ganomaly", "draem", "efficientad", "padim", "patchcore")
WORKER = Path(__file__).with_name("anomalib_worker.py")
MONITOR = "andon, monitor"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--anomalib", help="python of an environment with anomalib; without it, its models are left out"
    )
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--workload", choices=WORKLOADS, default="grey-jpeg-default")
    parser.add_argument("--model", action="append", choices=MODELS, help="only this one; may be given again")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement, about")
    parser.add_argument("--count", type=int, default=400, help="frames of a measurement of the monitor")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    ways = own(given.workload, folder, given.count, given.seconds)
    if given.anomalib:
        images = WORKLOADS[given.workload].images(folder)
        for name in given.model or MODELS:
            ways |= of_anomalib(given.anomalib, name, folder / "peers" / name, images, given.seconds)
    results: dict[str, Any] = {"started": time.strftime("%Y-%m-%d %H:%M"), "workload": given.workload}
    path = folder / "peers.json"
    found: dict[str, list[Measurement]] = {way: [] for way in ways}
    for turn in range(given.rounds):
        for way, act in ways.items():
            found[way].append(act())
            said = f"round {turn + 1} of {given.rounds}: {way}: {found[way][-1].rate:.1f} frames/s"
            print(said, file=sys.stderr, flush=True)
        results["found"] = {way: [asdict(item) for item in items] for way, items in found.items()}
        path.write_text(json.dumps(results, indent=1))
    show(found, {way: megabytes(folder, given.workload, way) for way in ways})
    print(f"\n{path}")


def own(key: str, folder: Path, count: int, seconds: float) -> dict[str, Callable[[], Measurement]]:
    """The monitor, and what a textbook would write."""
    workload = WORKLOADS[key]
    workload.trained(folder)
    job = Job("memory", key, str(folder), count)
    loop = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.peers.loops", "textbook"]
    loop += [str(workload.images(folder)), str(seconds)]
    return {
        MONITOR: partial(measure, job),
        "andon, plain script": partial(measure, Job("plain", key, str(folder), count)),
        "textbook, plain script": partial(ask, loop),
    }


def of_anomalib(
    python: str, name: str, folder: Path, images: Path, seconds: float
) -> dict[str, Callable[[], Measurement]]:
    """A model's three ways; it is made where it is not there yet."""
    graph = folder / "weights" / "onnx" / "model.onnx"
    if not graph.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"making {name}", file=sys.stderr, flush=True)
        output([python, str(WORKER), "prepare", name, str(folder), str(images)])
    run = [python, str(WORKER), "run"]
    where = [name, str(folder), str(images), str(seconds)]
    loop = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.peers.loops", "onnx", str(images), str(seconds)]
    return {
        f"{name}, Engine.predict": partial(ask, [*run, "engine", *where]),
        f"{name}, TorchInferencer": partial(ask, [*run, "inferencer", *where]),
        f"{name}, onnxruntime": partial(ask, [*loop, str(graph)]),
    }


def ask(command: list[str]) -> Measurement:
    """A process of its own, which says what it found in its last line."""
    return Measurement(**json.loads(output(command).splitlines()[-1]))


def output(command: list[str]) -> str:
    """What a command prints; where it fails, so does this one."""
    trusting = {"TRUST_REMOTE_CODE": "1"}  # anomalib's condition for reading a model file, which here is our own
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | trusting)
    if done.returncode:
        sys.exit(f"error: {' '.join(command[1:])}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return done.stdout


def megabytes(folder: Path, workload: str, way: str) -> float | None:
    """The size of the model file; None of what has none."""
    if way.startswith("andon"):
        return WORKLOADS[workload].trained(folder).stat().st_size / 1e6
    weights = folder / "peers" / way.split(",")[0] / "weights" / ("onnx" if way.endswith("onnxruntime") else "torch")
    files = [each for each in weights.rglob("*") if each.is_file() and each.suffix != ".json"]
    return sum(each.stat().st_size for each in files) / 1e6 or None


def show(found: dict[str, list[Measurement]], files: dict[str, float | None]) -> None:
    """A table, with the monitor as its measure."""
    ours = found[MONITOR]
    print(
        f"\n{'':<28}{'frames/s':>9}{'of the monitor (range)':>26}{'CPU ms/frame':>14}{'peak MB':>9}{'of monitor':>12}"
        f"{'file MB':>9}"
    )
    for way, items in found.items():
        ratios = [item.rate / own.rate for item, own in zip(items, ours, strict=True)]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        rate, cpu = (statistics.median(getattr(item, name) for item in items) for name in ("rate", "cpu"))
        memory, own_memory = (max(item.memory for item in some) for some in (items, ours))
        print(
            f"{way:<28}{rate:>9.1f}{spread:>26}{1000 * cpu:>14.1f}{memory / 1e6:>9.0f}{memory / own_memory:>12.1f}"
            + (f"{size:>9.1f}" if (size := files.get(way)) else "")
        )


if __name__ == "__main__":
    main()
