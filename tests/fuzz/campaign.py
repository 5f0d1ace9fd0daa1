"""Runs readers on changed inputs and measures each: what it raised, its CPU time, the memory it took."""

import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.reader import Reader
from tests.fuzz.readers import READERS

MAX_CPU_SECONDS = 2.0
MAX_BYTES = 300_000_000


@dataclass
class Result:
    """What a campaign found. `findings` are inputs that no reader may be brought to its knees by, with the reason."""

    reader: str
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[str, bytes]] = field(default_factory=list)
    slowest_seconds: float = 0.0
    largest_bytes: int = 0

    def __str__(self) -> str:
        said = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common(6))
        return (
            f"{self.reader}: {self.cases} inputs, {len(self.findings)} findings; slowest {self.slowest_seconds:.2f} s "
            f"of CPU, largest {self.largest_bytes / 1e6:.0f} MB; {said}"
        )


def run(reader: Reader, seed: int, cases: int, seconds: float = float("inf")) -> Result:
    """Give a reader changed inputs until there were `cases` of them or the time is over."""
    result, rng, end = Result(reader.name), random.Random(f"{reader.name}-{seed}"), time.monotonic() + seconds
    for data in _inputs(reader, rng):
        if result.cases >= cases or time.monotonic() > end:
            return result
        outcome, used, grown = _measure(reader.read, data, reader.allowed)
        result.cases += 1
        result.outcomes[outcome] += 1
        result.slowest_seconds = max(result.slowest_seconds, used)
        result.largest_bytes = max(result.largest_bytes, grown)
        if outcome.startswith("!"):
            result.findings.append((outcome, data))
        elif used > MAX_CPU_SECONDS:
            result.findings.append((f"{used:.1f} s of CPU", data))
        elif grown > MAX_BYTES:
            result.findings.append((f"{grown / 1e6:.0f} MB", data))
    return result


def run_share(name: str, seed: int, cases: int, seconds: float) -> Result:
    """The task of one process of a campaign."""
    return run(READERS[name](), seed, cases, seconds)


def keep(result: Result, folder: Path) -> None:
    """Write the inputs of the findings into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (why, data) in enumerate(result.findings):
        (folder / f"{result.reader}-{i:03d}.bin").write_bytes(data)
        print(f"  {result.reader}-{i:03d}.bin: {why}")


def _inputs(reader: Reader, rng: random.Random) -> Iterator[bytes]:
    yield from reader.attacks
    while True:
        data, mutations = rng.choice(reader.seeds)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            try:
                data = rng.choice(mutations)(rng, data)
            except (ValueError, IndexError):  # a change before has taken the structure that this one needs
                break
        yield data


def _measure(
    read: Callable[[bytes], object], data: bytes, allowed: tuple[type[Exception], ...]
) -> tuple[str, float, int]:
    """What came of an input, the CPU time in seconds, and by how many bytes the process grew meanwhile."""
    before = _reset_peak()
    started = time.process_time()
    try:
        read(data)
        outcome = "read"
    except allowed as error:
        outcome = getattr(error, "reason", type(error).__name__)
    except Exception as error:
        outcome = f"! {type(error).__name__}: {str(error)[:80]}"
    return outcome, time.process_time() - started, max(0, _peak() - before)


def _reset_peak() -> int:
    """Begin to measure peak memory anew; what is resident now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
