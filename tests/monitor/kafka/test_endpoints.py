"""A monitor that has to stop ends in time, whatever the broker does."""

import signal
import time
from pathlib import Path
from typing import Any

from andon_monitor.kafka.watchdog import EXIT_STATUS

from tests.fixtures.kafka_line import Line
from tests.fixtures.small_model import parts


def test_sigterm_ends_the_monitor_in_time_though_the_broker_hangs(
    fragile: Any, model_path: Path, tmp_path: Path
) -> None:
    line = Line(fragile.servers, "drain", model_path, tmp_path)
    line.send([data for data, _ in parts(40)])
    with line.monitor("kafka.drain_timeout=4") as monitor:
        line.read_verdicts(1)
        fragile.signal_node(1, signal.SIGSTOP)
        try:
            line_is_full = time.monotonic()
            monitor.signal(signal.SIGTERM)
            assert monitor.end(30) in (0, EXIT_STATUS)
            assert time.monotonic() - line_is_full < 25
        finally:
            fragile.signal_node(1, signal.SIGCONT)
    with line.monitor():
        assert len(line.read_answers(40)) >= 40
