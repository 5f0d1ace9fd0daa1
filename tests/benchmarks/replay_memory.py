"""The memory that a replay takes while a large recording goes by: `andon-monitor replay` into a real Kafka.

python -m tests.benchmarks.replay_memory [--gigabytes 10]

Needs twice as much disk for a while: the recording, and the topic.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from andon_monitor.formats.mcap_writer import RecordingWriter
from andon_monitor.inspection.frames import Frame, Position
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.topics import create, plan
from andon_monitor.settings.groups import KafkaSettings

from tests.fixtures.broker import load_broker

FRAME_BYTES = 300_000  # a JPEG of two megapixels
SAMPLES = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    size = int(parser.parse_args().gigabytes * 1e9)
    with tempfile.TemporaryDirectory() as name:
        recording = generate(Path(name) / "line.mcap", size)
        node = load_broker().Cluster(Path(name) / "kafka")
        try:
            node.start()
            address = parse_address(f"kafka://{node.servers}/frames")
            settings = KafkaSettings()
            list(create(address, plan("frames", "verdicts", "letters", 4, settings), settings))
            replay(recording, str(address))
        finally:
            node.stop()


def generate(path: Path, size: int) -> Path:
    """A recording of frames that no compression makes smaller."""
    started = time.monotonic()
    pool = os.urandom(2 * FRAME_BYTES)
    writer = RecordingWriter(path, {"source": "generated"})
    for i in range(size // FRAME_BYTES):
        start = i * 977 % FRAME_BYTES
        data = b"\xff\xd8\xff" + pool[start : start + FRAME_BYTES - 3]
        writer.write(Frame(f"camera-{i % 4}", 1e9 + i / 10, data, Position("generated", "frames", 0, i)))
    writer.file.close()
    print(f"{writer.frames} frames, {path.stat().st_size / 1e9:.2f} GB written in {time.monotonic() - started:.0f} s")
    return path


def replay(recording: Path, to: str) -> None:
    """Run it as a process and print its resident memory over the way it has gone."""
    command = [
        sys.executable,
        "-c",
        "from andon_monitor.cli.main import main; main()",
        "replay",
        str(recording),
        "--to",
        to,
    ]
    process = subprocess.Popen([*command, "--speed", "max"])
    size, shown, started = recording.stat().st_size, 1, time.monotonic()
    while process.poll() is None:
        if (done := position(process.pid, recording)) is not None and done >= shown * size / SAMPLES:
            shown += 1
            print(f"{done / 1e9:6.2f} GB read, {resident(process.pid) / 1e6:6.1f} MB resident", flush=True)
        time.sleep(0.02)
    print(f"exit status {process.returncode}, {time.monotonic() - started:.0f} s")


def position(pid: int, recording: Path) -> int | None:
    """How far a process has read a file, None where it has not opened it or is gone."""
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if os.path.realpath(link) == str(recording):
                return int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[1])
    except OSError:
        return None
    return None


def resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    main()
