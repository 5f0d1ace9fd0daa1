"""The table of docs/operator/capacity.md and its checks: python -m tests.benchmarks.capacity [--cameras 40] [--monitor]

Terms of your own: --frame-cpu 0.012 --frame-bytes 180000 --rate 2 ... Without --monitor it simulates alone, in half a
minute; with it the monitor is run with frames that come at random.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
from andon_monitor.common.cores import available_cores

from tests.benchmarks.capacity.formula import CERTAINTY, Terms, imbalance, mean_wait, plan, wait_quantile
from tests.benchmarks.capacity.simulation import busiest, periodic_waits, waits
from tests.benchmarks.workloads import WORKLOADS

CAMERAS = (10, 1000, 10_000)


def main() -> None:
    """Print the plan and what checks it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, action="append", help="how many; may be given again")
    for name, value in asdict(Terms()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"{value:g}")
    parser.add_argument("--monitor", action="store_true", help="run the monitor too")
    parser.add_argument("--workload", choices=WORKLOADS, default="grey-jpeg-default", help="for the monitor")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--count", type=int, default=1000, help="frames of one measurement of the monitor")
    given = vars(parser.parse_args())
    terms = Terms(**{name: given[name] for name in asdict(Terms())})
    cameras = given["cameras"] or CAMERAS
    print("\n".join(table(cameras, terms)))
    check_imbalance(cameras, terms)
    check_waits(terms)
    if given["monitor"]:
        check_monitor(given["workload"], given["folder"].resolve(), given["count"])


def table(cameras: "tuple[int, ...]", terms: Terms) -> list[str]:
    """The plan for each number of cameras, as lines of Markdown."""
    plans = [plan(count, terms) for count in cameras]
    rows = {
        "frames a second": [f"{item.frames:,.0f}" for item in plans],
        f"monitors of {terms.cores} cores": [f"{item.monitors}" for item in plans],
        "cores": [f"{item.cores}" for item in plans],
        "busiest monitor over the mean": [f"{item.imbalance:.2f}" for item in plans],
        "partitions": [f"{item.partitions}" for item in plans],
        "from the cameras": [f"{item.ingress / 1e6:,.1f} MB/s" for item in plans],
        "brokers": [f"{item.brokers}" for item in plans],
        "into, out of each broker": [
            f"{item.broker_in / 1e6:,.1f}, {item.broker_out / 1e6:,.1f} MB/s" for item in plans
        ],
        f"disk of all brokers, frames of {terms.kept / 3600:.0f} h": [f"{item.disk / 1e12:,.2f} TB" for item in plans],
    }
    lines = ["| cameras | " + " | ".join(f"{count:,}" for count in cameras) + " |", "|---" * (len(cameras) + 1) + "|"]
    return lines + [f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()]


def check_imbalance(cameras: "tuple[int, ...]", terms: Terms) -> None:
    """The busiest monitor, of cameras hashed by Kafka's own partitioner."""
    print(f"\nbusiest monitor over the mean, in {CERTAINTY:.0%} of lines: cameras, monitors, formula, simulated")
    for count in cameras:
        monitors = max(2, plan(count, terms).monitors)
        found = np.quantile(busiest(count, monitors, terms.partitions_each), CERTAINTY)
        print(f"{count:>10,} {monitors:>10} {imbalance(count, monitors):>10.2f} {found:>10.2f}")


def check_waits(terms: Terms) -> None:
    """The queue of one monitor."""
    print("\nwaits in times of one frame (M/D/c): cores, busy, mean by formula, simulated, 99 % by formula, simulated,")
    print("99 % of 50 cameras that each keep a beat of their own")
    for cores in sorted({1, 2, terms.cores}):
        for busy in (0.5, 0.7, 0.8, 0.9):
            found, regular = waits(cores, busy), periodic_waits(cores, busy, 50)
            print(
                f"{cores:>10} {busy:>10.0%} {mean_wait(cores, busy):>10.2f} {found.mean():>10.2f}"
                f" {wait_quantile(cores, busy, 0.99):>10.2f} {np.quantile(found, 0.99):>10.2f}"
                f" {np.quantile(regular, 0.99):>10.2f}"
            )


def check_monitor(key: str, folder: Path, count: int) -> None:
    """The monitor beside the formula."""
    from tests.benchmarks.capacity.monitor import check

    print(f"\nthe monitor on {available_cores()} cores, frames at random, ms from due to verdict:")
    print("busy, frames/s, median by formula, measured, 99 % by formula, measured")
    for item in check(key, folder, count):
        pairs = [
            f"{1000 * expected:>10.1f} {1000 * measured:>10.1f}"
            for expected, measured in zip(item.expected, item.measured, strict=True)
        ]
        print(f"{item.utilisation:>10.0%} {item.rate:>10.1f} {' '.join(pairs)}", flush=True)


if __name__ == "__main__":
    main()
