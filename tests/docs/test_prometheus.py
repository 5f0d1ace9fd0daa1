"""The page *Prometheus without containers*, with the files as they are: a monitor is scraped, an alert arrives.

The page's ports are fixed, so that all of it runs in a network namespace of its own, where the kernel allows one.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fixtures.components import skip_or_fail
from tests.fixtures.pages import ROOT, blocks

PAGE = "docs/operator/prometheus.md"
STARTED = ("andon-monitor run", "prometheus ", "prometheus-alertmanager ", "python deploy/alertmanager/receiver.py")


def commands() -> list[str]:
    """Those that the page starts, in its order."""
    found = [command for block in blocks("sh") if block.page == PAGE for command in block.commands()]
    return [command for command in found if command.startswith(STARTED)]


def test_prometheus_scrapes_a_monitor_and_an_alert_arrives(
    sample_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    for program in ("prometheus", "prometheus-alertmanager"):
        if shutil.which(program) is None:
            skip_or_fail(f"no {program} here")
    assert len(commands()) == len(STARTED)
    shutil.copytree(ROOT / "deploy" / "prometheus", tmp_path / "deploy" / "prometheus")
    shutil.copytree(ROOT / "deploy" / "alertmanager", tmp_path / "deploy" / "alertmanager")
    shutil.copytree(sample_folder, tmp_path / "demo" / "part")
    slow_down(tmp_path / "demo" / "part" / "stream" / "manifest.jsonl")
    shutil.copy(model_file, tmp_path / "demo" / "part.onnx")
    prefix = namespace()
    script = [sys.executable, "-m", "tests.fixtures.local_stack", str(tmp_path), *commands()]
    done = subprocess.run([*prefix, *script], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^heartbeat: .*Watchdog", done.stdout, re.MULTILINE), done.stdout


def slow_down(manifest: Path) -> None:
    """A frame every ten seconds: a short stream that lasts until everything has started."""
    frames = [json.loads(line) for line in manifest.read_text().splitlines()]
    start = datetime(2026, 1, 5, 6, tzinfo=UTC)
    for i, frame in enumerate(frames):
        frame["captured_at"] = (start + timedelta(seconds=10 * i)).isoformat()
    manifest.write_text("".join(json.dumps(frame) + "\n" for frame in frames))


def namespace() -> list[str]:
    """What runs a command in a network of its own; nothing where that is not allowed."""
    prefix = ["unshare", "--map-root-user", "--net"]
    try:
        allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return prefix if allowed else []


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.split()[0])
def test_the_page_names_files_that_are_there(command: str) -> None:
    named = [word.partition("=")[2] or word for word in shlex.split(command)]
    assert [name for name in named if name.startswith("deploy/") and not (ROOT / name).is_file()] == []
