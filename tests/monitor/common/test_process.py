"""What others see of a process."""

import ast
import subprocess
import sys

import pytest


def test_passwords_of_addresses_do_not_show_in_the_list_of_processes() -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux lets a process change what others see of its arguments")
    code = (
        "from pathlib import Path; from andon_monitor.common.process import hide_from_process_list; "
        "from andon_monitor.common.redaction import hide_addresses_in_argument; "
        "hide_from_process_list(hide_addresses_in_argument); print(Path('/proc/self/cmdline').read_bytes())"
    )
    arguments = ["--source", "rtsp://user:hidden@camera/live?key=hidden", "kafka://broker:9092/frames", "a@b", ""]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    shown = [argument.strip() for argument in ast.literal_eval(done.stdout).decode().split("\0")]
    assert shown[-6:] == ["--source", "rtsp://camera/live", "kafka://broker:9092/frames", "a@b", "", ""]
    assert "hidden" not in done.stdout
