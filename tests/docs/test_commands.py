"""Every command line of README and pages: the programs know it, and it does what it says in a folder like a reader's.

Trainings are cut to a few steps and hours to seconds. What is not run is listed with the reason.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from andon_monitor.cli.main import app as monitor_app
from andon_monitor.review.store import Store
from andon_trainer.cli.main import app as trainer_app
from andon_trainer.sample.render import write_sample

from tests.fixtures import preloaded
from tests.fixtures.broker import node
from tests.fixtures.commands import PATIENCE, run_command
from tests.fixtures.pages import blocks
from tests.fixtures.review_page import Client, serving

PROGRAMS = {"andon-trainer": trainer_app, "andon-monitor": monitor_app}
COMMANDS = [(block, command) for block in blocks("sh") for command in block.commands()]
BROKER = "127.0.0.1:9092"  # as the pages have it

# Beginnings of commands that are not run here, and why.
NOT_RUN = {
    "andon-monitor collect --source camera:0": "needs a camera; tests/monitor/collect reads every other source",
    "andon-monitor collect --source genicam:": "needs a camera; tests/monitor/sources/industrial has emulated ones",
    "andon-monitor run --model part.onnx --source genicam:": "as collect",
    "andon-monitor draw": "waits for a person; tests/monitor/draw runs it with a browser",
    "andon-trainer fit images/good --mask": "a second training; tests/trainer/test_masked_fit.py fits under a mask",
    "andon-monitor run --model part.onnx --source rtsp:": "needs a camera; tests/monitor/sources has one",
    "andon-monitor run --model part.onnx --source watch:": "needs a folder in /srv; tests/monitor/sources watches one",
    "make ": "each sets up an environment of its own; make test and make check are what runs this",
    "GRAFANA_PASSWORD=... docker compose": "needs Docker; tests/deploy runs the same services as processes",
    "docker build": "needs Docker; tests/deploy lints the file",
    "kubectl": "needs a cluster; tests/deploy validates the manifests",
    "sha256sum": "needs a release; tests/deploy/test_release.py makes one and deploy/release/try_out.py installs it",
    "python3 -m venv andon": "as sha256sum",
    "andon/bin/": "as sha256sum",
    "sed -E": "as sha256sum",
    "pip download --dest wheels": "as sha256sum",
    "helm install": "needs a cluster; tests/deploy/test_helm.py renders the chart",
    "install ": "writes into /etc; tests/deploy checks the unit and its drop-ins",
    "systemctl": "needs a machine with systemd and root",
    "journalctl": "needs a machine with systemd",
    "GF_PATHS_PROVISIONING=": "needs Grafana",
    "prometheus --config.file=deploy/prometheus/local.yml": "run by test_prometheus.py",
    "prometheus-alertmanager": "run by test_prometheus.py",
    "python deploy/alertmanager/receiver.py": "run by test_prometheus.py",
    "promtool check config deploy/prometheus/local.yml": "run by tests/deploy/test_files.py",
    "promtool test rules": "run by tests/deploy/test_files.py",
    "amtool check-config": "run by tests/deploy/test_files.py",
    "andon-monitor run --model demo/part.onnx --source demo/part/stream --pace recorded": "run by test_prometheus.py",
    "python deploy/grafana/generate.py": "writes into the repository; tests/deploy holds what it writes",
    "python -m tests.docs.pictures": "needs what make demo leaves, and writes into the repository",
    "python -m tests.benchmarks.capacity": "run by tests/benchmarks/capacity",
    "andon-trainer fit line/": "three more trainings would cost minutes and show no more; the models are there",
    "andon-trainer fit data -o sharper.onnx": "a second training would cost half a minute and show no more",
    "andon-trainer evaluate part.onnx data --min-detection": "a model of six steps keeps no limit; "
    "tests/trainer/cli/test_evaluate.py tries limits",
    "andon-monitor check --config andon.yaml": "needs a factory's brokers; test_examples.py reads the file",
    "andon-monitor run --config andon.yaml": "needs a factory's brokers",
}
# What takes too long for a test, and what is run instead.
SHORTER = (
    (r"^(andon-trainer fit .*--architecture dense.*)$", r"\1 --iterations 20 --threads 1"),
    (r"^(andon-trainer fit (?!.*dense).*)$", r"\1 --iterations 6 --side 64 --size small --threads 1"),
    # Not instead of part.onnx, which the labels belong to.
    (
        r"^(andon-trainer fit .*)part\.onnx --latency 15ms(.*)$",
        r"\1quick.onnx --latency 10s\2 --networks 1 --encoder none",
    ),
    (r"^(andon-trainer fit night\.mcap .*)$", r"\1 --encoder none"),  # that of the README has it
    (r"^(andon-trainer classify .*)$", r"\1 --draws 1 --threads 1"),
    (r"^(andon-monitor tune .*)$", r"\1 --seconds 0.1 --rounds 1"),
    (r"^(andon-monitor record .*) --duration 8h(.*)$", r"\1 --start earliest --until-end\2"),
    (r"^(andon-monitor replay .*)--speed 10$", r"\1--speed max"),
    (r" --rate 20$", ""),
    (r"^(andon-trainer sample line --line)$", r"\1 --train 4 --stream 12"),
)
# Commands that go on until they are stopped, and what their logs say once they work.
SERVING = (
    (r"^andon-monitor review ", r"review page at http"),
    (r"^andon-monitor parts ", r"partitions of andon.parts.views: \d"),
    (r"^andon-monitor run .*--source kafka://", r"kafka: partitions of .*: \d"),
)


def reason_not_to_run(command: str) -> str | None:
    """Why a command is not run here, None where it is."""
    return next((reason for start, reason in NOT_RUN.items() if command.startswith(start)), None)


def named(command: str) -> str:
    return command[:90]


@pytest.mark.parametrize("start", NOT_RUN)
def test_what_is_not_run_is_in_a_page(start: str) -> None:
    assert any(command.startswith(start) for _, command in COMMANDS)


@pytest.mark.parametrize(
    "command", dict.fromkeys(c for _, c in COMMANDS if re.search(r"(^|\| )andon-(trainer|monitor) ", c)), ids=named
)
def test_the_programs_know_a_command(command: str) -> None:
    words = shlex.split(command)
    start = next(i for i, word in enumerate(words) if word in PROGRAMS)
    group: Any = typer.main.get_command(PROGRAMS[words[start]])
    end = next((i for i, word in enumerate(words) if word in (">", ">>", "|") and i > start), len(words))
    name, *arguments = words[start + 1 : end]
    assert name in group.commands, f"{words[start]} has no command {name}"
    group.commands[name].make_context(name, arguments)  # raises where an option is unknown or misses its value


@dataclass
class Home:
    """The folder that pages assume, and the brokers at work; a command is run once, wherever it stands."""

    folder: Path
    servers: str

    def __post_init__(self) -> None:
        self._done: set[str] = set()
        self._environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "ANDON_SERVER_PORT": "0",
            "ANDON_REVIEW_PORT": "0",
        }

    def run(self, command: str) -> None:
        """As a reader would, with the real brokers' address; any exit code but 0 fails."""
        if command in self._done:
            return
        self._done.add(command)
        command = command.replace(BROKER, self.servers)
        for pattern, shorter in SHORTER:
            command = re.sub(pattern, shorter, command)
        ready = next((text for pattern, text in SERVING if re.search(pattern, command)), None)
        if ready is not None:
            self._serve(command, ready)
            return
        options: dict[str, Any] = {"cwd": self.folder, "env": self._environment, "timeout": PATIENCE}
        program, *arguments = shlex.split(command)
        if program in PROGRAMS:
            done = preloaded.run(program.replace("-", "_"), *arguments, **options)
        else:
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"

    def _serve(self, command: str, ready: str) -> None:
        """Start it, wait until its log says that it works, stop it."""
        log = self.folder / "log.txt"
        program, *arguments = shlex.split(command)
        with log.open("w") as file:
            package = program.replace("-", "_")
            process = preloaded.Process(package, arguments, file, file, self.folder, self._environment)
        try:
            deadline = time.monotonic() + PATIENCE
            while not re.search(ready, log.read_text()):
                assert process.poll() is None, f"{command}: {log.read_text()}"
                assert time.monotonic() < deadline, f"{command}: {ready!r} is not in {log.read_text()}"
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0, log.read_text()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("ANDON_TEST_KAFKA")
    if given:
        yield given
        return
    for cluster in node(tmp_path_factory.mktemp("kafka")):
        yield cluster.servers


@pytest.fixture(scope="module")
def home(sample_folder: Path, model_file: Path, tmp_path_factory: pytest.TempPathFactory, servers: str) -> Home:
    """Models, images, recordings and labels under the names that the pages use."""
    folder = tmp_path_factory.mktemp("home")
    lay_out(folder, sample_folder, model_file)
    return Home(folder, servers)


def lay_out(folder: Path, sample: Path, model: Path) -> None:
    """Write what readers have before they start."""
    for name in ("data", "demo/part"):
        shutil.copytree(sample, folder / name)
    shutil.copytree(sample / "stream", folder / "frames")
    of_a_line = ("plate-top.onnx", "plate-bottom.onnx", "cover-top.onnx")
    for name in ("part.onnx", "new.onnx", "sharper.onnx", "demo/part.onnx", *of_a_line):
        shutil.copy(model, folder / name)
    good = sorted((sample / "train" / "good").iterdir())[:12]
    write_sample(folder / "others", seed=5, train=12, test_good=0, test_defects=0, stream=0)
    (folder / "more").mkdir()
    shutil.move(folder / "others" / "train" / "good", folder / "more" / "good")
    shutil.rmtree(folder / "others")
    for name in ("images/good", "noisy"):
        (folder / name).mkdir(parents=True)
        for i, path in enumerate(good, 1):
            shutil.copy(path, folder / name / f"{i:04d}{path.suffix}")
    for kind in sorted(path for path in (sample / "test").iterdir() if path.name != "good")[:3]:
        (folder / "defects" / kind.name).mkdir(parents=True)
        picture = np.asarray(cv2.imread(str(next(kind.iterdir()))))
        for i in range(5):  # photographs of other parts: shifted far enough to be no near-duplicates
            cv2.imwrite(str(folder / "defects" / kind.name / f"{i}.png"), np.roll(picture, 40 * i, axis=1))
    digits = np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8)
    np.savez(folder / "digits.npz", images=digits)
    record = run_command("andon-monitor", "record", "--source", folder / "frames", "-o", folder / "night.mcap")
    assert record.returncode == 0, record.stderr
    settings = next(block for block in blocks("yaml") if block.page == "docs/operator/many-products.md")
    (folder / "line.yaml").write_text(settings.text)
    fill_review(folder)
    shutil.copytree(folder / "review", folder / "demo" / "review")


def fill_review(folder: Path) -> None:
    """A review page's folder where people labelled everything that was flagged."""
    low = "inspection.thresholds={station-1: 0.8}"  # so that there are defects to label
    inspect = ("run", "--model", folder / "part.onnx", "--source", folder / "frames", "--no-server", "--set", low)
    ends = ("--verdicts", folder / "first.jsonl", "--evidence", folder / "review")
    done = run_command("andon-monitor", *inspect, *ends)
    assert done.returncode == 0, done.stderr
    with serving(Store(folder / "review")) as url:
        client = Client(url)
        frames = sorted(set(re.findall(r"/frames/([0-9a-f]{32})", client.get("/defects")[1])))
        assert frames
        for frame in frames:
            assert client.label(frame, label="false alarm") in (200, 303)


@pytest.mark.parametrize(
    "page", dict.fromkeys(block.page for block, command in COMMANDS if reason_not_to_run(command) is None)
)
def test_the_commands_of_a_page_work(home: Home, page: str) -> None:
    for block, command in COMMANDS:
        if block.page == page and reason_not_to_run(command) is None:
            home.run(command)
