"""`run` with output.actions: verdicts reach an MQTT broker and a webhook; `check` tries both and shows no secret."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from andon_monitor.errors import UsageError
from andon_monitor.run.service import Service
from andon_monitor.settings.loading import load_settings

from tests.fixtures.commands import andon, error_of
from tests.fixtures.mosquitto import Mosquitto, Subscriber, free_port, running_broker
from tests.fixtures.webhook_server import WebhookServer


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running_broker(tmp_path_factory.mktemp("mosquitto")) as started:
        yield started


def write_settings(folder: Path, gate: str, hook: str, **output: object) -> Path:
    """A settings file with a gate by MQTT and a webhook."""
    (folder / "token").write_text("t0p-secret")
    actions = [
        {"name": "gate", "uri": gate, "rules": [{"address": "line/$camera", "payload": "$id", "window": 60}]},
        {"name": "hook", "uri": hook, "token_file": str(folder / "token"), "rules": [{"verdicts": ["defect"]}]},
    ]
    given = {
        "actions": actions,
        "action_deadline": 600,
        "outbox": str(folder / "outbox"),
        "verdicts": str(folder / "v.jsonl"),
        **output,
    }
    path = folder / "andon.yaml"
    path.write_text(yaml.safe_dump({"output": given, "server": {"enabled": False}}))
    return path


@pytest.mark.parametrize("act_on", ["verdict", "acknowledgement"])
def test_every_defect_of_a_run_reaches_its_targets(
    act_on: str, broker: Mosquitto, model_path: Path, recording: Path, tmp_path: Path
) -> None:
    heard = Subscriber(broker)
    with WebhookServer() as server:
        config = write_settings(tmp_path, broker.uri, server.uri, act_on_recordings=True, act_on=act_on)
        flags = {"model.path": model_path, "source.uri": str(recording)}
        Service(load_settings(flags, config)).run()
        received = server.wait_accepted(4)
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    defects = [verdict for verdict in verdicts if verdict["verdict"] == "defect"]
    assert len(defects) == 4
    assert [json.loads(one.body)["id"] for one in received] == [verdict["id"] for verdict in defects]
    by_camera: dict[str, list[str]] = {}
    for verdict in defects:
        by_camera.setdefault(verdict["camera"], []).append(verdict["id"])
    for camera, ids in by_camera.items():
        assert sorted(heard.wait_until(f"line/{camera}", len(ids))) == sorted(ids)
    heard.close()


def test_a_recording_moves_no_gate_unless_somebody_says_so(model_path: Path, recording: Path, tmp_path: Path) -> None:
    config = write_settings(tmp_path, "mqtt://127.0.0.1:1", "http://127.0.0.1:1/")
    with pytest.raises(UsageError, match="the source is a recording"):
        Service(load_settings({"model.path": model_path, "source.uri": str(recording)}, config)).run()


def test_check_tries_targets_and_shows_no_secret(
    broker: Mosquitto, model_path: Path, recording: Path, tmp_path: Path
) -> None:
    with WebhookServer() as server:
        config = write_settings(
            tmp_path, broker.uri, server.uri.replace("/andon", "/services/T0K3N") + "&key=in-the-address"
        )
        arguments = ("check", "--config", config, "--model", model_path, "--source", recording)
        done = andon(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.requests == []
    said = " ".join(done.stdout.split())
    assert "the broker answers, MQTT 5; 1 rule, acts now" in said
    assert "messages are unsigned; 1 rule, kept until it has them" in said
    for secret in ("t0p-secret", "in-the-address", "T0K3N"):
        assert secret not in done.stdout + done.stderr
    write_settings(tmp_path, f"mqtt://127.0.0.1:{free_port()}", server.uri)
    done = andon(*arguments)
    assert done.returncode == 1
    assert done.stdout.count("FAILED") == 2, done.stdout


def test_a_password_in_an_address_is_not_repeated(model_path: Path, recording: Path, tmp_path: Path) -> None:
    config = write_settings(tmp_path, "mqtt://andon:hunter2@127.0.0.1", "http://127.0.0.1:1/")
    done = andon("run", "--config", config, "--model", model_path, "--source", recording)
    assert done.returncode == 2
    assert "no user or password in the address" in error_of(done)
    assert "hunter2" not in done.stderr + done.stdout
