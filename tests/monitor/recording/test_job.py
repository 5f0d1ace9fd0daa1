"""What works on files works without the Kafka client."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module", ["recording.job", "recording.repair", "sources.uri", "sinks.uri", "formats.mcap_reader"]
)
def test_what_needs_no_topic_loads_no_client(module: str) -> None:
    code = f"import andon_monitor.{module}, sys; assert 'kafka' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
