"""What becomes of actions when targets fail: python -m tests.benchmarks.action_faults.

Real targets on this machine, each with a monitor in a process of its own that decides 20 times a second: in the middle
third the target is killed, stalls or answers errors, the link is cut, or the monitor is killed. Owed: actions decided.
Late: more than the window after the decision (0.5 s; 1 s for targets that remember). Counted: actions that the monitor
counted as not done.
"""

import argparse
import logging
import tempfile
from pathlib import Path

from tests.fixtures.action_faults import FAULTS, TARGETS, measure


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each measurement")
    parser.add_argument("--only", default="", help="targets whose names have this text")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # of the servers' libraries
    print("| target | fault | owed | done | doubled | late | lost | counted as not done |")
    print("|---|---|---|---|---|---|---|---|")
    for target in (name for name in TARGETS if given.only in name):
        for fault in FAULTS:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(target, fault, Path(folder), given.seconds)
            if row is not None:
                cells = (row.owed, row.done, row.doubled, row.late, row.lost, row.counted)
                print(f"| {target} | {fault} | {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
