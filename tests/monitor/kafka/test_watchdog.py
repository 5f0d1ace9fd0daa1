"""A call that does not return in time ends the process; one that does has no effect."""

import subprocess
import sys

from andon_monitor.kafka.watchdog import EXIT_STATUS

PROGRAM = """
import logging, time
from andon_monitor.kafka.watchdog import Watchdog
logging.basicConfig()
watchdog = Watchdog()
with watchdog.guard("a short call", 30):
    pass
print("came back", flush=True)
with watchdog.guard("a long call", 0.1):
    time.sleep(60)
print("never said")
"""


def test_a_call_that_hangs_ends_the_process_and_says_which() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300)
    assert done.returncode == EXIT_STATUS
    assert done.stdout == "came back\n"
    assert "a long call did not end in time" in done.stderr
