"""The simulated reject station for an hour's worth of parts, fault by fault: python -m tests.benchmarks.station.

What is owed (defects), done (taken out), lost (passed the gate), and good parts taken out for nothing; for both ways to
wire a gate. The time is simulated: it takes some minutes, and comes out the same on every machine.
"""

import argparse
import logging
from collections import Counter

from tests.fixtures.reject_station import TAKT, WIRINGS, Faults, Line

SHARE = 0.001  # of parts at which a fault begins: one in 100 s
RARE = 0.005  # of frames that are slow or cannot be inspected
FAULTS = {
    "none": Faults(),
    "verdict slower than the deadline": Faults(slow=RARE),
    "uninspectable": Faults(uninspectable=RARE),
    "model hangs for 0.3 to 4 s": Faults(hang=SHARE),
    "link cut for 0.3 to 4 s": Faults(link=SHARE),
    "PLC answers nothing for 0.3 to 4 s": Faults(freeze=SHARE),
    "monitor killed, back after 0.3 to 4 s": Faults(kill=SHARE),
    "all of them": Faults(SHARE, SHARE, SHARE, SHARE, RARE, RARE),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of the simulated line")
    parts = round(parser.parse_args().minutes * 60 / TAKT)
    logging.disable(logging.CRITICAL)
    print(f"{parts} parts at {1 / TAKT:g} a second, 5 % defects\n")
    print("| gate | fault | defects owed | taken out | lost | good parts | taken out for nothing | without a fault |")
    print("|---|---|---|---|---|---|---|---|")
    for wiring, rule in WIRINGS.items():
        for name, faults in FAULTS.items():
            line = Line(rule, faults)
            line.run(parts)
            found: Counter[tuple[bool, bool]] = Counter()
            for (_, good, taken_out), number in line.outcomes().items():
                found[good, taken_out] += number
            owed, good = found[False, True] + found[False, False], found[True, True] + found[True, False]
            calm = line.outcomes()["", True, True]
            cells = [wiring, name, owed, found[False, True], found[False, False], good, found[True, True], calm]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
