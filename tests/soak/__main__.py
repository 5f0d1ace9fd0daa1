"""`python -m tests.soak [--minutes M] [--rate FRAMES_A_SECOND] [--json FILE]`: needs Java and the broker's jars.

Every frame must have one verdict, memory and open files must not grow, every log line must be JSON.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaProducer

from tests.fixtures.broker import load_broker
from tests.fixtures.kafka_line import Line, Monitor, positions
from tests.fixtures.small_model import build_model, draw, encode
from tests.fuzz.readers import images
from tests.monitor.image_files.bombs import bombs

PORT = 19464
SAMPLE_SECONDS = 30.0
MAX_RESIDENT_BYTES = 2**30


@dataclass
class Sample:
    """The monitor at one moment."""

    minute: float
    resident_bytes: int
    peak_bytes: int
    files: int
    cpu_seconds: float
    scrape_seconds: float


@dataclass
class Account:
    """What became of all frames, and what the monitor took."""

    minutes: float = 0.0
    frames: int = 0
    hostile: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    exit_status: int | None = None
    log_lines: int = 0
    log_lines_not_json: int = 0
    evidence: int = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """Everything that should not be."""
        half = len(self.samples) // 2
        early, late = self.samples[half // 2 : half], self.samples[half + half // 2 :]
        found = []
        if self.lost or self.doubled:
            found.append(f"{self.lost} frames lost, {self.doubled} doubled")
        if self.exit_status != 0:
            found.append(f"exit status {self.exit_status}")
        if self.log_lines_not_json:
            found.append(f"{self.log_lines_not_json} log lines are no JSON")
        if self.samples and max(s.peak_bytes for s in self.samples) > MAX_RESIDENT_BYTES:
            found.append("more than 1 GiB of memory")
        if early and late:
            grown = _median([s.resident_bytes for s in late]) - _median([s.resident_bytes for s in early])
            if grown > 50_000_000:
                found.append(f"memory grew by {grown / 1e6:.0f} MB between the second and the last quarter")
            if _median([s.files for s in late]) > _median([s.files for s in early]) + 5:
                found.append("open files grew")
        return found

    def __str__(self) -> str:
        first, last, peak = self.samples[0], self.samples[-1], max(sample.peak_bytes for sample in self.samples)
        return "\n".join(
            [
                f"{self.minutes:.0f} minutes, {self.frames} frames, {self.hostile} of them hostile",
                f"verdicts {dict(self.verdicts)}, reasons {dict(self.reasons)}",
                f"{self.lost} frames lost, {self.doubled} doubled",
                f"memory {first.resident_bytes / 2**20:.0f} MiB at minute {first.minute:.1f}, "
                f"{last.resident_bytes / 2**20:.0f} at the end, peak {peak / 2**20:.0f}",
                f"open files {first.files} to {last.files}; {last.cpu_seconds:.0f} s of CPU; slowest scrape "
                f"{max(s.scrape_seconds for s in self.samples):.2f} s",
                f"{self.log_lines} log lines, {self.log_lines_not_json} not JSON; {self.evidence} packages of evidence",
                *(f"WRONG: {complaint}" for complaint in self.complaints),
            ]
        )


class Stream:
    """Frames of two cameras: good parts, defects, and what attackers send."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._good = [encode(draw(i)) for i in range(40)]
        self._defects = [encode(draw(i, defect=True)) for i in range(10)]
        self._hostile = [data for data in bombs().values() if len(data) < 2**20]
        self._seeds = images().seeds

    def next(self) -> tuple[bytes | None, list[tuple[str, bytes]], bool]:
        """A value, its headers, and whether it is hostile."""
        rng = self._rng
        share = rng.random()
        if share < 0.85:
            return rng.choice(self._good), [], False
        if share < 0.9:
            return rng.choice(self._defects), [], False
        headers = [
            (rng.choice(("ce_time", "ce_source", "content-type", "x" * 200)), rng.randbytes(rng.choice((0, 9, 500))))
        ]
        kind = rng.randrange(4)
        if kind == 0:
            return rng.choice(self._hostile), headers, True
        if kind == 1:
            return None if rng.random() < 0.5 else b"", headers, True
        if kind == 2:
            return rng.randbytes(rng.randrange(2000)), headers, True
        data, mutations = rng.choice(self._seeds)
        with suppress(ValueError, IndexError):  # a change may need what another has removed
            data = rng.choice(mutations)(rng, data)
        return data, headers, True


def main() -> None:
    """Exit code 1 where anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=5.0, help="frames a second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the account")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="andon-soak-"))
    cluster = load_broker().Cluster(folder / "kafka")
    cluster.start()
    try:
        account = soak(cluster.servers, folder, given.minutes, given.rate, given.seed)
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(account)
    if given.json is not None:
        given.json.write_text(
            json.dumps(vars(account) | {"samples": [vars(sample) for sample in account.samples]}, indent=1) + "\n"
        )
    sys.exit(1 if account.complaints else 0)


def soak(servers: str, folder: Path, minutes: float, rate: float, seed: int) -> Account:
    """One monitor for so many minutes."""
    model, shadow = folder / "part.onnx", folder / "shadow.onnx"
    model.write_bytes(build_model())
    shadow.write_bytes(build_model())
    line = Line(servers, "soak", model, folder, preloaded=False)
    settings = [
        f"output.evidence={folder / 'review'}",
        f"output.history={folder / 'history'}",
        f"output.summary={folder / 'summary.json'}",
        f"statistics.state_file={folder / 'charts.json'}",
        f"shadow.path={shadow}",
        "logging.format=json",
    ]
    account = Account()
    with line.monitor(*settings, port=PORT) as monitor:
        monitor.wait_for("source kafka")
        _feed(line, monitor, Stream(seed), account, minutes, rate)
        verdicts = line.read_answers(account.frames)
        monitor.signal(signal.SIGTERM)
        account.exit_status = monitor.end()
    answered = Counter(positions(verdicts))
    account.lost = account.frames - len(answered)
    account.doubled = sum(answered.values()) - len(answered)
    account.verdicts = Counter(verdict["verdict"] for verdict in verdicts)
    account.reasons = Counter(verdict["reason"] for verdict in verdicts if "reason" in verdict)
    lines = monitor.log.read_text(errors="replace").splitlines()
    account.log_lines, account.log_lines_not_json = len(lines), sum(not _is_json(text) for text in lines)
    account.evidence = sum(1 for _ in (folder / "review" / "frames").rglob("*.zip"))
    return account


def _feed(line: Line, monitor: Monitor, stream: Stream, account: Account, minutes: float, rate: float) -> None:
    producer = KafkaProducer(bootstrap_servers=line.servers, max_request_size=2**25)
    started = sampled = time.monotonic()
    while (elapsed := time.monotonic() - started) < 60 * minutes:
        while account.frames < elapsed * rate:
            value, headers, hostile = stream.next()
            key = (b"left", b"right")[account.frames % 2]
            producer.send(line.frames, value=value, key=key, headers=headers)
            account.frames += 1
            account.hostile += hostile
        if time.monotonic() - sampled > SAMPLE_SECONDS:
            sampled = time.monotonic()
            account.samples.append(_sample(monitor.process.pid, (sampled - started) / 60))
        time.sleep(0.5 / rate)
    producer.flush()
    producer.close()
    account.minutes = (time.monotonic() - started) / 60
    account.samples.append(_sample(monitor.process.pid, account.minutes))


def _sample(process: int, minute: float) -> Sample:
    status = Path(f"/proc/{process}/status").read_text()
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    before = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=30) as answer:
        answer.read()
    return Sample(
        minute=round(minute, 2),
        resident_bytes=_kilobytes(status, "VmRSS"),
        peak_bytes=_kilobytes(status, "VmHWM"),
        files=sum(1 for _ in Path(f"/proc/{process}/fd").iterdir()),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / 100,
        scrape_seconds=time.monotonic() - before,
    )


def _kilobytes(status: str, name: str) -> int:
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _median(values: list[int]) -> float:
    ordered = sorted(values)
    return float(ordered[len(ordered) // 2])


if __name__ == "__main__":
    main()
