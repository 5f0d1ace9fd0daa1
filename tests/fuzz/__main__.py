"""`python -m tests.fuzz [--reader NAME] [--cases N] [--seconds S] [--seed N] [--keep FOLDER]`: a long campaign."""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.fuzz.campaign import Result, keep, run_share
from tests.fuzz.readers import READERS

SHARE = 10_000  # inputs of one task: a worker is replaced after it, so that what leaks does not hide


def main() -> None:
    """Exit code 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--reader", choices=sorted(READERS), action="append", help="only this one; may be given again")
    parser.add_argument("--cases", type=int, default=1_000_000, help="inputs for the images, a tenth of it for others")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="the most time for one reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="folder for inputs that were found")
    given = parser.parse_args()
    found = 0
    with ProcessPoolExecutor(given.workers, max_tasks_per_child=1) as pool:
        for name in given.reader or READERS:
            cases = given.cases if name == "images" else -(-given.cases // 10)
            shares = [min(SHARE, cases - start) for start in range(0, cases, SHARE)]
            seconds = given.seconds * given.workers / len(shares)
            tasks = [pool.submit(run_share, name, given.seed + i, share, seconds) for i, share in enumerate(shares)]
            total = Result(name)
            for done, task in enumerate(tasks, 1):
                part = task.result()
                total.cases += part.cases
                total.outcomes += part.outcomes
                total.findings += part.findings
                total.slowest_seconds = max(total.slowest_seconds, part.slowest_seconds)
                total.largest_bytes = max(total.largest_bytes, part.largest_bytes)
                print(f"\r{name}: {done} of {len(tasks)} tasks, {total.cases} inputs", end="", file=sys.stderr)
            print(file=sys.stderr)
            print(total, flush=True)
            keep(total, given.keep)
            found += len(total.findings)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
