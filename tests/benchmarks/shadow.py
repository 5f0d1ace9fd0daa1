"""What a shadow costs the first model, and what a hot swap delays: side by side, in rounds, in one process.

python -m tests.benchmarks.shadow --model part.onnx --frames part/stream [--shadow new.onnx] [--count 600] [--rounds 5]

A shadow: frames a second with it divided by those without, as fast as it goes, when it costs most. A swap: frames come
at half of what the monitor can do, and are timed from when they were due; those due while a new file is put into place,
verified and taken into use are set beside the others.
"""

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnx
from andon_monitor.inspection.frames import Frame
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.file import Model
from andon_monitor.recipes.library import Library
from andon_monitor.run.hot_swap import Swapper
from andon_monitor.run.pipeline import Pipeline
from andon_monitor.run.shadow import Shadow
from andon_monitor.settings.loading import load_settings
from andon_monitor.telemetry.metrics import Metrics

from tests.benchmarks.line import Counter, Memory, milliseconds, repeated

BUDGETS = (None, 0.25, 0.5, 1.0)  # share of one core; None for no shadow
WATCH = 0.1  # seconds between looks at the model's file
SWAPS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--shadow", type=Path)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    frames = repeated(arguments.frames, arguments.count)
    inspector = Inspector(Model.load(arguments.model, "cpu", 0))
    shadow = Inspector(Model.load(arguments.shadow or arguments.model, "cpu"))
    run(inspector, frames[:100], None, shadow)  # warm
    rates: dict[float | None, list[float]] = {budget: [] for budget in BUDGETS}
    scored: dict[float | None, float] = {}
    for _ in range(arguments.rounds):
        for budget in BUDGETS:
            rate, scored[budget] = run(inspector, frames, budget, shadow)
            rates[budget].append(rate)
    print("shadow's budget   frames/s   of those without, median (range over rounds)   frames it scored")
    for budget, found in rates.items():
        ratios = [rate / alone for rate, alone in zip(found, rates[None], strict=True)]
        share = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        name = "none" if budget is None else f"{budget:.0%} of a core"
        print(f"{name:<15} {statistics.median(found):10.1f}   {share:<46} {scored[budget]:.0%}")
    swap(arguments.model, frames, statistics.median(rates[None]))


def run(inspector: Inspector, frames: list[Frame], budget: float | None, second: Inspector) -> tuple[float, float]:
    """Frames a second, and the share of them that the shadow scored."""
    metrics = Metrics()
    shadows = [] if budget is None else [Shadow({None: second}, metrics, budget, 16)]
    pipeline = Pipeline(Memory(frames), inspector, shadows, metrics)
    started = time.monotonic()
    pipeline.run()
    rate = len(frames) / (time.monotonic() - started)
    for shadow in shadows:
        shadow.close("complete")
    return rate, sum(shadow.scored for shadow in shadows) / len(frames)


def swap(path: Path, frames: list[Frame], capacity: float) -> None:
    """Latencies of frames at half load, those due during a swap apart."""
    interval = 2 / capacity
    with tempfile.TemporaryDirectory() as name:
        current, other = Path(name) / "part.onnx", Path(name) / "other.onnx"
        shutil.copy(path, current)
        renamed = onnx.load(path)
        renamed.producer_name = "another"  # other bytes, the same work
        onnx.save(renamed, other)
        versions = [path, other]
        settings = load_settings({"model.path": current, "model.provider": "cpu", "model.watch": WATCH}, None)
        metrics, counter = Metrics(), Counter(len(frames))
        library = Library.open(settings, metrics)
        pipeline = Pipeline(Memory(frames, interval), library, [counter], metrics)
        swapper = Swapper(library, WATCH, metrics)
        spans: list[tuple[float, float]] = []
        started = time.time()

        def put() -> None:
            for number in range(SWAPS):
                time.sleep(len(frames) * interval / (SWAPS + 1))
                old, beside, begun = library.files[0].model, current.with_suffix(".new"), time.time()
                shutil.copy(versions[(number + 1) % 2], beside)
                beside.replace(current)
                while library.files[0].model is old and not pipeline.stopped:
                    time.sleep(0.005)
                spans.append((begun, time.time()))

        putting = threading.Thread(target=put, daemon=True)
        swapper.start()
        putting.start()
        pipeline.run()
        putting.join()
        swapper.close()
    latencies = np.array(counter.latencies)
    due = started + interval * np.arange(len(latencies))
    during = np.any([(begun - interval <= due) & (due <= ended) for begun, ended in spans], axis=0)
    print(f"\nhalf load ({1 / interval:.1f} frames/s), {len(spans)} swaps of a file that took "
          f"{statistics.median(ended - begun for begun, ended in spans):.1f} s to verify")  # fmt: skip
    print("milliseconds from due to verdict   median    99 %    most   frames")
    for label, chosen in (("while a model is swapped", during), ("else", ~during)):
        print(f"{label:<32} {milliseconds(latencies[chosen])}   {chosen.sum()}")
    print(f"frames answered: {len(latencies)} of {len(frames)}")


if __name__ == "__main__":
    main()
