"""The examples for Kafka Connect: its own validation takes them, and verdicts become rows as they say."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.broker import load_broker
from tests.fixtures.components import skip_or_fail
from tests.fixtures.deploy import DEPLOY
from tests.fixtures.kafka_line import PATIENCE, Line
from tests.fixtures.small_model import parts

CONNECT = DEPLOY / "connect"
LIBS = CONNECT / "libs"
FILE_SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"
COMMON = ("topics", "tasks.max", "key.converter", "value.converter", "transforms", "errors.tolerance")


def example(name: str, secrets: Path = Path("/secrets")) -> dict[str, str]:
    """The configuration of an example, with its secrets in another folder."""
    text = (CONNECT / f"verdicts-{name}.json").read_text().replace("/secrets", str(secrets))
    config: dict[str, str] = json.loads(text)["config"]
    return config


class Connect:
    """A worker at its address."""

    def __init__(self, port: int, secrets: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.secrets = secrets

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def validate(self, config: dict[str, str]) -> tuple[set[str], dict[str, list[str]]]:
        """The settings that Connect and the plugins know, and what is wrong with these, by setting."""
        kind = config["connector.class"]
        found = self.ask("PUT", f"/connector-plugins/{kind}/config/validate", {"name": "example", **config})
        values = [one["value"] for one in found["configs"]]
        return {value["name"] for value in values}, {
            value["name"]: value["errors"] for value in values if value["errors"]
        }


@pytest.fixture(scope="module")
def connect(servers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connect]:
    """A worker of one process; its jars are fetched once for a clone."""
    folder = tmp_path_factory.mktemp("connect")
    if shutil.which("java") is None or shutil.which("mvn") is None:
        skip_or_fail("no Java or no Maven for Kafka Connect")
    if not LIBS.exists():
        fetch = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        unfinished = LIBS.with_name(f"libs.{os.getpid()}")
        if subprocess.run([*fetch, f"-DoutputDirectory={unfinished}"], cwd=CONNECT, capture_output=True).returncode:
            shutil.rmtree(unfinished, ignore_errors=True)
            skip_or_fail("Maven could not fetch Kafka Connect")
        unfinished.rename(LIBS)
    (port,) = load_broker().free_ports(1)
    (folder / "database.properties").write_text("password=hush\n")
    settings = {
        "bootstrap.servers": servers,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "offset.storage.file.filename": folder / "offsets",
        "listeners": f"http://127.0.0.1:{port}",
        "plugin.discovery": "service_load",
        "plugin.path": folder,
        "config.providers": "file",
        "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
    }
    (folder / "worker.properties").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    java = ["java", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java += ["-cp", ":".join(map(str, sorted(LIBS.glob("*.jar")))), "org.apache.kafka.connect.cli.ConnectStandalone"]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([*java, folder / "worker.properties"], stdout=log, stderr=log)
    try:
        worker = Connect(port, folder)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                worker.ask("GET", "/connectors")
                break
            except OSError:
                said = (folder / "log.txt").read_text()[-3000:]
                assert process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(0.2)
        yield worker
    finally:
        process.kill()
        process.wait()


def test_validation_knows_every_setting_of_the_example_for_a_database(connect: Connect) -> None:
    config = example("jdbc", connect.secrets)
    known, faults = connect.validate(config)
    assert faults == {}
    assert set(config) - known == set()
    _, faults = connect.validate(config | {"tasks.max": "none", "transforms.flat.type": "no.such.Transform"})
    assert {"tasks.max", "transforms.flat.type"} <= set(faults)


def test_validation_takes_what_is_connects_own_in_the_example_for_s3(connect: Connect) -> None:
    """The sink itself is in no registry of jars that is used here: its own settings are not checked."""
    config = {key: value for key, value in example("s3").items() if not key.startswith(("aws.", "file.", "format."))}
    config["connector.class"] = FILE_SINK
    known, faults = connect.validate(config)
    assert faults == {}
    assert set(config) - known == set()


def test_verdicts_become_flat_rows(connect: Connect, line: Line, tmp_path: Path) -> None:
    """By the converter and transform of the example for a database, into a file."""
    line.send([data for data, _ in parts(6)] + [b"no image"])
    with line.monitor():
        verdicts = line.read_answers(7)
    config = {key: value for key, value in example("jdbc").items() if key.startswith(COMMON)}
    config |= {"topics": line.verdicts, "connector.class": FILE_SINK, "file": str(tmp_path / "rows")}
    connect.ask("POST", "/connectors", {"name": line.name, "config": config})
    rows: list[str] = []
    deadline = time.monotonic() + PATIENCE
    while len(rows) < len(verdicts):
        status = connect.ask("GET", f"/connectors/{line.name}/status")
        assert time.monotonic() < deadline, status
        assert not [task["trace"] for task in status["tasks"] if task["state"] == "FAILED"]
        time.sleep(0.2)
        rows = (tmp_path / "rows").read_text().splitlines() if (tmp_path / "rows").exists() else []
    found = {row.partition("id=")[2].partition(",")[0]: row for row in rows}
    assert set(found) == {verdict["id"] for verdict in verdicts}
    for verdict in verdicts:
        row = found[verdict["id"]]
        assert f"verdict={verdict['verdict']}," in row
        assert f"model_sha256={verdict['model']['sha256']}" in row
        assert ("score=" in row) == ("score" in verdict)
        assert "Struct{" not in row[1:]  # nothing in it that a column could not hold
