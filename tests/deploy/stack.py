"""What docker-compose.yml starts, as processes: Kafka, two monitors, cameras, Prometheus, Alertmanager, a receiver.

Prometheus and Alertmanager run with the shipped files, hurried: every second where they wait for 15, 1 s where a rule
or a route waits for minutes, and addresses of this machine.
"""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.file import Model
from kafka import KafkaProducer

from tests.conftest import skip_or_fail
from tests.monitor.kafka.conftest import load_broker
from tests.monitor.kafka.line import Line
from tests.monitor.small_model import draw, encode, make_frame

DEPLOY = Path(__file__).parents[2] / "deploy"
CAMERAS = ("left", "right", "top")
FRAMES_PER_SECOND = 5  # of each camera
SILENCE = 5  # seconds


class Cameras:
    """Publish frames until stopped: `defects` at four times the tempo, `frozen` one picture, `silent` ones nothing."""

    def __init__(self, line: Line, model: Model) -> None:
        inspector = Inspector(model)
        frames = [make_frame(encode(draw(i)), i) for i in range(60)]
        verdicts = inspector.inspect([inspector.prepare(frame) for frame in frames])
        self._good = [f.data for f, v in zip(frames, verdicts, strict=True) if v.outcome == "good"]
        self._defects = [encode(draw(i, defect=True)) for i in range(10)]
        self._producer = KafkaProducer(bootstrap_servers=line.servers)
        self._topic = line.frames
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.silent: set[str] = set()
        self.defects: set[str] = set()
        self.dark: set[str] = set()
        self.frozen: set[str] = set()

    def start(self) -> None:
        self.send("top", self._defects[0])  # one, so that there is a last defect
        self._thread.start()

    def send(self, camera: str, data: bytes) -> None:
        self._producer.send(self._topic, value=data, key=camera.encode())

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._producer.close(timeout=5)

    def _run(self) -> None:
        number = 0
        while not self._stopped.wait(1 / FRAMES_PER_SECOND):
            number += 1
            for camera in CAMERAS:
                if camera in self.silent:
                    continue
                if camera in self.frozen:
                    self.send(camera, self._good[0])
                elif camera in self.dark:
                    self.send(camera, encode((draw(number) * 0.8).astype("uint8")))
                elif camera in self.defects:
                    for i in range(4):
                        self.send(camera, self._defects[i])
                else:
                    self.send(camera, self._good[number % len(self._good)])


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer; an error is one."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {json.load(error)}") from None

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each sample; NaN is no data."""
        found = self.get("query", query=expression)["result"]
        samples = [(item["metric"], float(item["value"][1])) for item in found]
        return [(labels, value) for labels, value in samples if value == value]

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Labels of the alerts that fire, by their name."""
        firing: dict[str, list[dict[str, str]]] = {}
        for alert in self.get("alerts")["alerts"]:
            if alert["state"] == "firing":
                firing.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return firing


class Stack:
    """Everything at work."""

    def __init__(self, cameras: Cameras, prometheus: Prometheus, alertmanager: str, received: Path) -> None:
        self.cameras = cameras
        self.prometheus = prometheus
        self.alertmanager = alertmanager
        self._received = received

    def messages(self) -> list[str]:
        """What people were told, one line for each alert; the heartbeat apart."""
        return [line for line in self._received.read_text().splitlines() if line.startswith("people: ")]

    def wait_for_message(self, text: str, seconds: float = 30) -> str:
        """The first message with this text."""
        found: list[str] = []

        def arrived() -> bool:
            found[:] = [line for line in self.messages() if text in line]
            return bool(found)

        wait_until(arrived, seconds, lambda: f"no {text!r} among {self.messages()}, firing {self.prometheus.firing()}")
        return found[0]


def wait_until(condition: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    """Look ten times a second."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.1)


def hurried(text: str) -> Any:
    """A configuration of Prometheus or Alertmanager that waits for a second where it waits for longer."""
    waits = r"(\b(?:for|scrape_interval|scrape_timeout|evaluation_interval|group_wait|group_interval): )\d+[smh]"
    return yaml.safe_load(re.sub(waits, r"\g<1>1s", text))


@contextmanager
def running(folder: Path, model: Path) -> Iterator[Stack]:
    """The stack, from the first frame on until the end of the block."""
    for program in ("prometheus", "prometheus-alertmanager"):
        if shutil.which(program) is None:
            skip_or_fail(f"no {program} here")
    broker = load_broker()
    try:
        cluster = broker.Cluster(folder / "kafka")
    except broker.MissingError as error:
        skip_or_fail(str(error))
    ports = broker.free_ports(5)
    with ExitStack() as stack:
        received, manager, url = _start_alerting(stack, folder, ports)
        stack.callback(cluster.stop)
        cluster.start()
        line = Line(cluster.servers, "stack", model, folder)
        cameras = Cameras(line, Model.load(model, "cpu"))
        for i, port in enumerate(ports[:2]):
            settings = [
                f"source.silence={SILENCE}",
                "inspection.takt=2",
                f"statistics.state_file={folder}/charts-{i}.json",
                f"shadow.path={model}",
            ]
            stack.enter_context(line.monitor(*settings, port=port))
        cameras.start()
        stack.callback(cameras.stop)
        yield Stack(cameras, Prometheus(url), manager, received)


def _start_alerting(stack: ExitStack, folder: Path, ports: list[int]) -> tuple[Path, str, str]:
    receiver, manager, prometheus = (f"127.0.0.1:{port}" for port in ports[2:])
    routes = hurried((DEPLOY / "alertmanager" / "alertmanager.yml").read_text().replace("receiver:9095", receiver))
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routes))
    (folder / "rules").mkdir()
    for path in (DEPLOY / "prometheus" / "rules").iterdir():
        (folder / "rules" / path.name).write_text(yaml.safe_dump(hurried(path.read_text())))
    config = hurried((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [manager]
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports[:2]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def start(log: str, *command: str) -> None:
        with (folder / log).open("w") as file:
            process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
        stack.callback(process.wait)
        stack.callback(process.kill)

    port = receiver.rpartition(":")[2]
    start("received", sys.executable, "-u", str(DEPLOY / "alertmanager" / "receiver.py"), "--port", port)
    start(
        "alertmanager.log",
        *("prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager"),
        *(f"--web.listen-address={manager}", "--cluster.listen-address="),
    )
    start(
        "prometheus.log",
        *("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"),
        *(f"--web.listen-address={prometheus}", "--enable-feature=exemplar-storage"),
    )
    return folder / "received", f"http://{manager}", f"http://{prometheus}"
