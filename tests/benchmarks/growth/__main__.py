"""What grows: python -m tests.benchmarks.growth cameras | group | stream [--minutes 60] [--rate 3]

    cameras   1 to 200 cameras at one total rate: processor time a frame
    group     1 to 4 monitors of one core each over 1 to 12 partitions: frames a second
    stream    a long stream: memory and latency as time goes by

All through a real Kafka of one node on this machine. Prints a table; writes growth-NAME.json into the folder.
"""

import argparse
import json
import time
from pathlib import Path

from tests.benchmarks.growth import cameras, group, stream
from tests.benchmarks.throughput import broker
from tests.benchmarks.workloads import WORKLOADS


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("cameras", "group", "stream"))
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--workload", choices=WORKLOADS, default="grey-jpeg-default")
    parser.add_argument("--rate", type=float, help="frames a second of all cameras; 20, and 3 for the stream")
    parser.add_argument("--count", type=int, default=300, help="frames of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=15.0, help="how long the stream is")
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    workload = WORKLOADS[given.workload]
    workload.trained(folder)
    started = time.strftime("%Y-%m-%d %H:%M")
    place = folder / f"growth-{given.what}"
    place.mkdir(parents=True, exist_ok=True)
    with broker(place) as servers:
        if given.what == "cameras":
            found = cameras.measure(workload, folder, servers, given.rate or 20, given.count, given.rounds)
            cameras.show(found)
        elif given.what == "group":
            found = group.measure(workload, folder, servers, given.count, given.rounds)
            group.show(found)
        else:
            found = stream.measure(workload, folder, servers, given.rate or 3, given.minutes)
            stream.show(found)
    path = folder / f"growth-{given.what}.json"
    path.write_text(json.dumps({"started": started, "workload": workload.key, "found": found}, indent=1))
    print(f"\n{path}")


if __name__ == "__main__":
    main()
