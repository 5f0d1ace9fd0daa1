"""What works on files works without the Kafka client."""

import subprocess
import sys

MODULES = ("recording.job", "recording.repair", "sources.uri", "sinks.uri", "formats.mcap_reader")


def test_what_needs_no_topic_loads_no_client() -> None:
    code = "import importlib, sys\n"
    for module in MODULES:
        code += f"importlib.import_module('andon_monitor.{module}'); assert 'kafka' not in sys.modules, '{module}'\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
