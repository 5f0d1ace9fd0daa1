"""Where the monitor's processor time goes: python -m tests.benchmarks.hot_path (needs py-spy, of .[bench])

A profile by py-spy of a way of `ways`, with each sample put down to the line that its thread was at: decoding,
resizing, the network, the Kafka client, the reader of a recording, or the rest, which is what the monitor itself costs.
"""

import argparse
import json
import linecache
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.throughput import broker, record, send
from tests.benchmarks.ways import Job
from tests.benchmarks.workloads import WORKLOADS

RATE = 200  # samples a second
# What a frame of the stack says of the whole sample: its file, and what the line that it is at has.
PARTS = {
    "decoding": ("andon_monitor/image_files/", ""),
    "resizing": ("andon_monitor/model/imaging.py", "cv2.resize("),
    "network": ("andon_monitor/model/session.py", "_session.run("),
    "Kafka client": ("site-packages/kafka/", ""),
    "recording": ("andon_monitor/formats/mcap_", ""),  # its reader, with the MCAP library that it calls
}
REST = "the rest"
# Where a thread waits for another: py-spy takes it to work once it is woken, though there may be no core for it yet.
WAITS = ("waiter.acquire(", ".get(block=")
# Work on the stream is below one of these; the rest of the program is starting up.
STREAM = re.compile(
    r"(_read|_deliver) \(.*monitor/pipeline.py|_inspect_alone \(.*monitor/workers.py|/site-packages/kafka/"
)
FRAME = re.compile(r"(?P<name>.*) \((?P<file>.*):(?P<line>\d+)\)$")


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--workload", choices=WORKLOADS, default="grey-jpeg-small")
    parser.add_argument("--way", choices=("memory", "recording", "kafka"), default="recording")
    parser.add_argument("--count", type=int, default=4000, help="frames")
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    workload = WORKLOADS[given.workload]
    workload.trained(folder)
    profile = folder / f"profile-{given.way}.txt"
    with broker(folder) if given.way == "kafka" else nullcontext("") as servers:
        if servers:
            send(workload, folder, given.count, servers)
        target = record(workload, folder, given.count) if given.way == "recording" else servers
        job = Job(given.way, given.workload, str(folder), given.count, target=target)
        sample(job, profile)
    found, rest = shares(profile.read_text())
    total = found.total()
    print(f"{given.workload}, {given.way}: {total} samples in which a thread worked on the stream")
    for part, count in found.most_common():
        print(f"{part:<14}{count / total:>7.1%}")
    print("\nof the rest, most often at")
    for place, count in rest.most_common(15):
        print(f"{count / total:>7.1%}  {place}")


def sample(job: Job, profile: Path) -> None:
    """Run a way under py-spy; stacks go to a file, one with its count a line."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if program is None:
        sys.exit("error: py-spy: not found; pip install '.[bench]'")
    options = ["record", "--format", "raw", "--full-filenames", "--rate", str(RATE), "-o", str(profile), "--"]
    way = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.ways", json.dumps(asdict(job))]
    subprocess.run([program, *options, *way], check=True, stdout=subprocess.DEVNULL)


def shares(profile: str) -> tuple[Counter[str], Counter[str]]:
    """Samples by part; and those of the rest by the innermost line."""
    found: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for line in profile.splitlines():
        stack, _, count = line.rpartition(" ")
        if not STREAM.search(stack):
            continue
        frames = [match for frame in stack.split(";") if (match := FRAME.match(frame))]
        if not frames or any(wait in linecache.getline(*place_of(frames[-1])) for wait in WAITS):
            continue
        part = next((part for frame in frames if (part := part_of(*place_of(frame)))), REST)
        found[part] += int(count)
        if part == REST:
            file, number = place_of(frames[-1])
            rest[f"{frames[-1]['name']} ({'/'.join(Path(file).parts[-2:])}:{number})"] += int(count)
    return found, rest


def place_of(frame: re.Match[str]) -> tuple[str, int]:
    """File and line."""
    return frame["file"], int(frame["line"])


def part_of(file: str, line: int) -> str | None:
    """What a line is part of, None for the monitor itself."""
    for part, (path, text) in PARTS.items():
        if path in file and text in linecache.getline(file, line):
            return part
    return None


if __name__ == "__main__":
    main()
