"""Many models in one monitor: python -m tests.benchmarks.recipes --model part.onnx --frames part/stream/frames

Each measurement is a process of its own, on one thread, in rounds that take turns. Frames/s, CPU and memory with 1, 5
and 20 models (one network under different names), with one product all along and with another one at each frame; CPU
that a part's identity and the regions of defects cost; and, at half load, how late frames of an open recipe are while
models of others are opened. The best of the rounds counts for CPU: whatever else the machine does can only add to it.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from andon_monitor.inspection.frames import Frame, Position
from andon_monitor.recipes.library import Library
from andon_monitor.run.pipeline import Pipeline, PipelineLimits
from andon_monitor.settings.groups import Settings
from andon_monitor.sinks.summary import Summary
from andon_monitor.statistics.charts import ControlCharts
from andon_monitor.telemetry.metrics import Metrics

from tests.benchmarks.line import Counter, Memory, milliseconds

MODELS = (1, 5, 20)
IMAGES = 48  # different ones, which repeat
WARM = 0.2  # share of the frames before those that are measured
PASSES = 5  # over the images, for each round
SPACING = 15.0  # seconds between two openings: as many as it takes to catch up again
OPENED = 4  # models that are opened while frames of another one come
PART = {"id": "4711", "product": "0", "order": "O-1", "station": "press", "view": "top", "encoder": 123456}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1500, help="frames of one measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker is not None:
        print(json.dumps(WORKERS[given.worker.rstrip("0123456789")](given)))
        return
    names = [f"{kind}{count}" for count in MODELS for kind in ("same", "change")]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(given.rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            found[name].append(call(name))
    print("models  products          frames/s   CPU ms a frame (best)   memory MB   seconds to open")
    for count in MODELS:
        for kind, said in (("same", "one all along"), ("change", "another each frame")):
            rows = found[f"{kind}{count}"]
            print(
                f"{count:6}  {said:<18}{median(rows, 'rate'):8.1f}   {1000 * best(rows):20.3f}   "
                f"{median(rows, 'memory') / 1e6:9.0f}   {median(rows, 'opening'):10.1f}"
            )
    added = call("added")
    for name in ("identity", "regions"):
        more = added[name] - added["plain"]
        print(f"{name}: {1e6 * more:+.0f} us a frame, {more / added['plain']:+.1%} of CPU")
    print(f"{added['defects']:.1%} of the frames are defects, which alone have regions")
    late = call("opening")
    print(f"\nhalf load ({late['frames_a_second']:.1f} frames/s), {OPENED} models opened one after the other, "
          f"each in {late['seconds']:.2f} s from its first frame to that frame's verdict")  # fmt: skip
    print("milliseconds from due to verdict   median    99 %    most   frames")
    for label in ("while a model is opened", "else"):
        print(f"{label:<32} {milliseconds(np.array(late[label]))}   {len(late[label])}")


def call(name: str) -> dict[str, Any]:
    """A measurement in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.recipes", *sys.argv[1:], "--worker", name]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def best(rows: Sequence[dict[str, float]]) -> float:
    """CPU seconds a frame."""
    return min(row["cpu"] for row in rows)


def median(rows: Sequence[dict[str, float]], name: str) -> float:
    """Over the rounds."""
    return statistics.median(row[name] for row in rows)


def frames_of(given: argparse.Namespace, products: Sequence[str], part: bool = True) -> list[Frame]:
    """Frames of four cameras, a product of the list for each in turn."""
    data = [path.read_bytes() for path in islice(sorted(given.frames.iterdir()), IMAGES)]
    return [
        Frame.of(
            data[i % len(data)],
            Position("memory", "frames", 0, i),
            f"station-{i % 4}",
            1e9 + i,
            part=PART | {"product": products[i % len(products)]} if part else None,
        )
        for i in range(given.count)
    ]


def settings_of(given: argparse.Namespace, folder: Path, count: int, **model: Any) -> Settings:
    """A recipe for each of so many models, by product; the last one takes all other frames."""
    named = onnx.load(given.model)
    for number in range(count):
        named.producer_name = str(number)  # other bytes, the same work
        onnx.save(named, folder / f"m{number}.onnx")
    rules: list[dict[str, Any]] = [
        {"product": str(number), "model": folder / f"m{number}.onnx"} for number in range(count - 1)
    ]
    rules.append({"model": folder / f"m{count - 1}.onnx"})
    return Settings(recipes=rules, model={"provider": "cpu", "threads": 1, **model})


def throughput(given: argparse.Namespace, count: int, products: Sequence[str]) -> Any:
    """Frames/s and CPU seconds a frame of a run from memory, with what `run` does with each verdict but its output."""
    with tempfile.TemporaryDirectory() as name:
        settings = settings_of(given, Path(name), count)
        metrics = Metrics()
        started = time.monotonic()
        library = Library.open(settings, metrics)
        opening = time.monotonic() - started
        charts = ControlCharts(settings.statistics, library.inspectors(), metrics)
        frames = frames_of(given, products)
        limits = PipelineLimits.from_settings(settings)
        for some in (frames[: int(WARM * len(frames))], frames):
            summary = Summary()
            clock, busy = time.monotonic(), time.process_time()
            Pipeline(Memory(some), library, [charts, summary], metrics, limits).run()
            seconds, cpu = time.monotonic() - clock, time.process_time() - busy
        library.close()
    return {
        "rate": len(frames) / seconds,
        "cpu": cpu / len(frames),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "opening": opening,
    }


def added(given: argparse.Namespace) -> dict[str, float]:
    """CPU seconds a frame without identity and regions, with one of them; passes over the same frames take turns."""
    given.count = IMAGES
    without, identified = frames_of(given, ("0",), part=False), frames_of(given, ("0",))
    with tempfile.TemporaryDirectory() as name:
        settings = settings_of(given, Path(name), 1)
        silent = settings.model_copy(update={"inspection": settings.inspection.model_copy(update={"regions": False})})
        plain, regions = Library.open(silent), Library.open(settings)
    limits = PipelineLimits.from_settings(settings)
    variants = {"plain": (plain, without), "identity": (plain, identified), "regions": (regions, without)}
    found: dict[str, list[float]] = {name: [] for name in variants}
    summary = Summary()
    for _ in range(given.rounds * PASSES):
        for name, (library, frames) in variants.items():
            metrics, summary = Metrics(), Summary()
            charts = ControlCharts(settings.statistics, library.inspectors(), metrics)
            busy = time.process_time()
            Pipeline(Memory(frames), library, [charts, summary], metrics, limits).run()
            found[name].append((time.process_time() - busy) / len(frames))
    for library in (plain, regions):
        library.close()
    return {name: min(times) for name, times in found.items()} | {"defects": summary.outcomes["defect"] / IMAGES}


def opening(given: argparse.Namespace) -> dict[str, Any]:
    """How late frames of an open recipe are while models of others are opened, and else."""
    with tempfile.TemporaryDirectory() as name:
        settings = settings_of(given, Path(name), OPENED + 1, load="first-frame")
        library = Library.open(settings, Metrics())
        library.patience = settings.model.load_wait
        limits = PipelineLimits.from_settings(settings)
        rate = 0.0
        for some in (frames_of(given, ("none of these",))[:count] for count in (IMAGES, given.count)):
            started = time.monotonic()
            Pipeline(Memory(some), library, [], Metrics(), limits).run()
            rate = len(some) / (time.monotonic() - started)
        given.count = int((OPENED + 1) * SPACING * rate / 2)
        usual = frames_of(given, ("none of these",))
        others = frames_of(given, [str(number) for number in range(OPENED)])
        every = len(usual) // (OPENED + 1)
        firsts = [every * (number + 1) for number in range(OPENED)]
        for number, place in enumerate(firsts):
            usual[place] = replace(usual[place], part=others[number].part)
        counter = Counter(len(usual))
        Pipeline(Memory(usual, 2 / rate), library, [counter], Metrics(), limits).run()
        library.close()
    waited = [counter.latencies[place] for place in firsts]
    slow = {
        place + number
        for place, seconds in zip(firsts, waited, strict=True)
        for number in range(1, int(seconds * rate / 2) + 1)
    }
    return {
        "frames_a_second": rate / 2,
        "seconds": statistics.median(waited),
        "while a model is opened": [late for i, late in enumerate(counter.latencies) if i in slow],
        "else": [late for i, late in enumerate(counter.latencies) if i not in slow and i not in firsts],
    }


WORKERS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "same": lambda given: throughput(given, _number(given), ("0",)),
    "change": lambda given: throughput(given, _number(given), [str(i) for i in range(_number(given))]),
    "added": added,
    "opening": opening,
}


def _number(given: argparse.Namespace) -> int:
    return int(given.worker.lstrip("abcdefghijklmnopqrstuvwxyz"))


if __name__ == "__main__":
    main()
