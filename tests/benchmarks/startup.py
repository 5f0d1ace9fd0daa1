"""How long one waits for the monitor: python -m tests.benchmarks.startup --model part.onnx --frames part/stream

From the start of the process to its help, and to the first verdict of a run with its metrics served; medians and range.
Processor time beside it says what an idle machine would take.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROGRAM = [sys.executable, "-c", "from monitor.cli import main; main()"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    run = ["run", "--model", arguments.model, "--source", arguments.frames, "--port", "0"]
    for name, command in (("--help", ["--help"]), ("first verdict", run)):
        until(command)  # warm
        times = [until(command) for _ in range(arguments.runs)]
        waited, busy = zip(*times, strict=True)
        print(f"{name:<15} {shown(waited)} s, of the processor {shown(busy)} s")


def until(command: Sequence[str]) -> tuple[float, float]:
    """Seconds until the first line on standard output, and processor seconds until then."""
    started = time.monotonic()
    process = subprocess.Popen([*PROGRAM, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline()
    waited = time.monotonic() - started
    busy = processor_seconds(process.pid)
    process.kill()
    process.communicate()
    return waited, busy


def processor_seconds(pid: int) -> float:
    """What a process that has not been waited for has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shown(seconds: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
