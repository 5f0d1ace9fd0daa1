"""How long one waits for the monitor, from the start of a process to what it says first; measured by `throughput`."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROGRAM = [sys.executable, "-m", "andon_monitor"]
RUNS = 9


def measure(model: Path, frames: Path) -> dict[str, list[tuple[float, float]]]:
    """For help and for the first verdict of a run with its metrics served: the times of each of `RUNS`, see `until`.

    Processor time, next to the time waited, says what an idle machine would take.
    """
    run = ["run", "--model", str(model), "--source", str(frames), "--port", "0"]
    found = {}
    for name, command in (("--help", ["--help"]), ("first verdict", run)):
        until(command)  # warm
        found[name] = [until(command) for _ in range(RUNS)]
    return found


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
