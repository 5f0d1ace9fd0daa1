"""What a GPU does with a model: python -m tests.benchmarks.gpu [--model FILE] [--provider cuda ...] [--steps N]

Of each execution provider that this machine has: frames a second of a call of 1, 8 and 32 frames through a buffer that
stays on the device, the largest relative difference of scores from those of the CPU, memory of the process and of the
device, and whether a session fell back to another provider. Without --model, one is fitted to the rendered sample on
each device, and the AUROC of both is printed: the same steps must find as much. At most ten minutes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from andon_monitor import load
from andon_monitor.model.file import SCORE
from andon_monitor.model.golden import worst_difference
from andon_monitor.model.runtime import onnxruntime
from andon_monitor.model.session import DEVICES, PROVIDERS, Bound, Session
from rich.console import Console
from rich.table import Table

from tests.benchmarks.replay_memory import resident

BATCHES = (1, 8, 32)
FIT_SECONDS = 180  # for each device
MEGABYTE = 1e6
out = Console()


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a model file; else one is fitted on each device")
    parser.add_argument("--provider", action="append", choices=tuple(PROVIDERS), help="all by default; repeatable")
    parser.add_argument("--steps", type=int, default=300, help="training steps of a fit")
    parser.add_argument("--rounds", type=int, default=20, help="timed calls of each batch size")
    options = parser.parse_args(given)
    providers = options.provider or list(PROVIDERS)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or fitted(Path(folder), options.steps, any(name != "cpu" for name in providers))
        out.print(measure(model, providers, options.rounds))


def fitted(folder: Path, steps: int, gpu: bool) -> Path:
    """A model of the rendered sample for each device; the CPU's."""
    trainer = [sys.executable, "-m", "andon_trainer"]
    subprocess.run([*trainer, "sample", str(folder / "part"), "--stream", "1"], check=True)
    for device in ("cuda", "cpu") if gpu and has_cuda() else ("cpu",):
        effort = ["--iterations", str(steps), "--budget", f"{FIT_SECONDS}s", "--networks", "1", "--side", "256"]
        started, model = time.monotonic(), folder / f"{device}.onnx"
        command = [*trainer, "fit", str(folder / "part"), "-o", str(model), "--device", device, *effort]
        subprocess.run(command, check=True)
        card = load(model, provider="cpu").card
        found = {name: round(share, 4) for name, share in card.metrics.items()}
        out.print(
            f"fitted on {device} in {time.monotonic() - started:.0f} s, {card.training.iterations} steps: {found}"
        )
    return model


def has_cuda() -> bool:
    """Whether torch sees a GPU."""
    import torch

    return torch.cuda.is_available()


def measure(model: Path, providers: Sequence[str], rounds: int) -> Table:
    """A row for each provider."""
    columns = ("provider", *(f"frames/s, {size} a call" for size in BATCHES), "difference", "process MB", "device MB")
    table = Table(*columns)
    content = model.read_bytes()
    reference = Session(content, str(model), "cpu")
    (_, *shape), *_ = reference.inputs.values()
    rows = np.random.default_rng(0).integers(0, 256, (max(BATCHES), *shape), dtype=np.uint8)
    expected = reference.run([SCORE], rows)[0]
    for provider in providers:
        session = Session(content, str(model), provider)
        if session.fell_back:
            scores = session.run([SCORE], rows[:1])[0]
            same = "same" if np.array_equal(scores, expected[:1]) else "other"
            out.print(f"{provider}: not on this machine; fell back to {session.provider}, {same} scores")
            continue
        found = worst_difference(session.run([SCORE], rows)[0], expected)
        rates = [rate(content, provider, rows[:size], rounds) for size in BATCHES]
        memory = (resident(os.getpid()) / MEGABYTE, device_megabytes() if provider != "cpu" else 0)
        table.add_row(provider, *(f"{each:.0f}" for each in rates), f"{found:.1e}", *(f"{each:.0f}" for each in memory))
    return table


def rate(content: bytes, provider: str, rows: np.ndarray, rounds: int) -> float:
    """Frames a second of calls with all of these rows, through a buffer on the device."""
    session = onnxruntime.InferenceSession(content, providers=PROVIDERS[provider])
    bound = Bound(session, DEVICES.get(session.get_providers()[0], "cpu"))
    bound.call([SCORE], rows)  # the first one selects kernels
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        bound.call([SCORE], rows)
        seconds.append(time.perf_counter() - started)
    return len(rows) / statistics.median(seconds)


def device_megabytes() -> float:
    """Memory in use on the first NVIDIA GPU; 0 where nobody can say."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    try:
        return float(subprocess.run(query, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0.0


if __name__ == "__main__":
    main()
