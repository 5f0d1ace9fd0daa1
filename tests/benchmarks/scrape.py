"""What one scrape of many cameras costs: python -m tests.benchmarks.scrape [--cameras 200]

The real server is asked over HTTP as Prometheus asks, and the processor time of this process's server is read.
"""

import argparse
import time
import urllib.request

from andon_monitor.inspection.frames import OUTCOMES
from andon_monitor.settings.groups import ServerSettings
from andon_monitor.telemetry.metrics import Metrics
from andon_monitor.telemetry.server import open_server

INTERVAL = 15.0  # seconds between scrapes
SCRAPES = 50


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=200)
    cameras = parser.parse_args().cameras
    metrics = Metrics()
    metrics._only = "part"
    metrics.expect([f"station-{i}" for i in range(cameras)], 60, 1)
    for i in range(cameras):
        for outcome in OUTCOMES:
            metrics.verdicts.labels(f"station-{i}", outcome).inc(12345)
        for number in range(20):
            metrics.score_ratio.labels(f"station-{i}", "part").observe(number / 10, {"frame_id": "0" * 32})
    server = open_server(ServerSettings(port=0), metrics.registry, lambda: True)
    server.start()
    for accept in ("text/plain", "application/openmetrics-text;version=1.0.0"):
        request = urllib.request.Request(f"{server.url}/metrics", headers={"Accept": accept})
        body = urllib.request.urlopen(request).read()
        started = time.process_time()
        for _ in range(SCRAPES):
            urllib.request.urlopen(request).read()
        seconds = (time.process_time() - started) / SCRAPES
        series = sum(not line.startswith(b"#") for line in body.splitlines())
        share = seconds / INTERVAL
        print(f"{accept}: {series} series, {len(body) / 1e6:.2f} MB, {seconds * 1000:.0f} ms, {share:.2%} of a core")
    server.close()


if __name__ == "__main__":
    main()
