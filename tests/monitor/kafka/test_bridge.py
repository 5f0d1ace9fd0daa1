"""`andon-monitor bridge` on a real broker: what is owed to a webhook survives a kill, and a gate gets nothing old."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from kafka import KafkaProducer

from tests.fixtures.actions import live_frame, make_verdict
from tests.fixtures.commands import andon, error_of
from tests.fixtures.kafka_line import PATIENCE, QUICK, Line, Monitor
from tests.fixtures.mosquitto import Mosquitto, Subscriber
from tests.fixtures.preloaded import Process
from tests.fixtures.webhook_server import WebhookServer


@contextmanager
def bridge(line: Line, config: Path, name: str) -> Iterator[Monitor]:
    """The service at work; ended with SIGKILL where it still is there at the end."""
    log = line.folder / f"bridge-{name}.log"
    command = ["bridge", "--config", str(config), "--source", line.uri(line.verdicts), "--no-server"]
    for setting in (f"kafka.group_id={line.name}", *QUICK):
        command += ["--set", setting]
    with log.open("w") as file:
        service = Monitor(Process("andon_monitor", command, file, file), log)
    try:
        yield service
    finally:
        service.kill()


OFFLINE = '{"state": "offline"}'


def wait_online(heard: Subscriber) -> None:
    """Until the heartbeat goes on after it was offline."""
    deadline = time.monotonic() + PATIENCE
    while "online" not in heard.payloads("lamp/state")[-1]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def send(line: Line, *numbers: int) -> list[str]:
    """Verdicts into the topic, each a defect, with a record that is none; their ids."""
    producer = KafkaProducer(bootstrap_servers=line.servers)
    verdicts = [make_verdict(live_frame(number)) for number in numbers]
    for verdict in verdicts:
        producer.send(line.verdicts, value=verdict.to_json().encode(), key=b"station-1")
    producer.send(line.verdicts, value=b"no verdict", key=b"station-1")
    producer.flush(PATIENCE)
    producer.close()
    return [verdict.id for verdict in verdicts]


def test_a_bridge_owes_nothing_after_a_kill_and_acts_on_nothing_old(line: Line, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    broker.start()
    heard = Subscriber(broker)
    with WebhookServer() as server:
        actions = [
            {"name": "mes", "uri": server.uri, "rules": [{}]},
            {
                "name": "lamp",
                "uri": broker.uri,
                "heartbeat": "lamp/state",
                "timeout": 1,
                "rules": [{"address": "lamp", "payload": "$id", "window": 60, "verdicts": ["defect"]}],
            },
        ]
        output = {"actions": actions, "outbox": str(tmp_path / "outbox"), "action_deadline": 600}
        config = tmp_path / "bridge.yaml"
        config.write_text(yaml.safe_dump({"output": output}))
        with bridge(line, config, "one") as first:
            first.wait_for("kafka: partitions of")
            ids = send(line, *range(5))
            server.wait_accepted(5)
            assert heard.wait_until("lamp", 5) == ids
            server.answers = [503] * 10_000
            ids += send(line, *range(5, 10))
            server.wait_requests(6)
            heard.wait_until("lamp", 10)
            first.kill()
            heard.wait_for("lamp/state", OFFLINE)  # the last will
        ids += send(line, *range(10, 15))  # nobody is there
        server.answers = []
        with bridge(line, config, "two") as second:
            server.wait_accepted(15)
            second.signal(signal.SIGSTOP)  # it hangs, and its connections stay
            heard.wait_for("lamp/state", OFFLINE)
            second.signal(signal.SIGCONT)
            wait_online(heard)
            second.signal(signal.SIGTERM)
            assert second.end() == 0, second.log.read_text()
        received = [json.loads(one.body)["id"] for one in server.accepted]
    assert sorted(set(received)) == sorted(ids)
    assert sorted(heard.payloads("lamp")) == sorted(ids[:10])  # not those from before the second start
    heard.close()
    broker.kill()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "source.uri: not given: give --source kafka://"),
        (("--source", "frames/"), "source.uri: frames/: give --source kafka://"),
        (("--source", "kafka://127.0.0.1:1/andon.verdicts"), "output.actions: not given"),
    ],
)
def test_a_bridge_without_a_topic_or_targets_says_so(arguments: tuple[str, ...], said: str) -> None:
    done = andon("bridge", "--no-server", *arguments)
    assert done.returncode == 2
    assert said in error_of(done)
