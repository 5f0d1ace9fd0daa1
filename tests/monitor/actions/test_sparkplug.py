"""Sparkplug B on a real broker, read from the bytes: births, data, deaths, rebirth, the primary host."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from andon_monitor.actions.links import sparkplug
from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.actions.links.opening import make_link
from andon_monitor.actions.links.sparkplug import SparkplugLink, read_state
from andon_monitor.actions.links.sparkplug_payload import DataType, Metric, encode, is_true
from andon_monitor.errors import UsageError
from andon_monitor.inspection.part import Part
from andon_monitor.settings.actions import TargetSettings
from paho.mqtt.client import MQTTMessage

from tests.fixtures.actions import acting, fact
from tests.fixtures.mosquitto import Mosquitto, Subscriber, running_broker
from tests.fixtures.relay import Relay
from tests.fixtures.sparkplug import Read, read_payload, rebirth_command

# Written by the message classes that the specification's own schema compiles to.
PUBLISHED = bytes.fromhex(
    "08fbd095ffbc3112120a0562645365711880d095ffbc3120045807121a0a046261636b1880d095ffbc31200458fbffffffffffffffff0112190a"
    "0573636f72651880d095ffbc31200a69000000000000f83f12110a04676f6f641880d095ffbc31200b700112120a0269641880d095ffbc31200c"
    "7a03c3843112140a0261741880d095ffbc31200d5880d095ffbc3112110a046b696e641880d095ffbc31200c380118ff01"
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running_broker(tmp_path_factory.mktemp("mosquitto")) as started:
        yield started


class Host:
    """A host application: every message of a group, as (kind, device, payload)."""

    def __init__(self, broker: Mosquitto, group: str) -> None:
        self.group = group
        self.subscriber = Subscriber(broker)

    def heard(self) -> list[tuple[str, str, Read]]:
        found = []
        for message in list(self.subscriber.messages):
            _, group, *rest = message.topic.split("/")
            if group == self.group and rest[0] != "NCMD":
                assert rest[1] == "line3"
                check_delivery(rest[0], message)
                found.append((rest[0], rest[2] if len(rest) > 2 else "", read_payload(message.payload)))
        return found

    def wait(self, *kinds: str) -> list[Read]:
        """Until messages of these kinds have come, in this order; those of the heartbeat do not count."""

        def those() -> list[tuple[str, Read]]:
            return [(kind, read) for kind, _, read in self.heard() if kind != "NDATA"]

        self.subscriber.wait_that(lambda: [kind for kind, _ in those()] == list(kinds))
        return [read for _, read in those()]

    def command(self, payload: bytes) -> None:
        self.subscriber.client.publish(f"spBv1.0/{self.group}/NCMD/line3", payload, 1)

    def say(self, online: bool, moment: int) -> None:
        """The state of a host."""
        state = json.dumps({"online": online, "timestamp": moment})
        self.subscriber.client.publish(f"spBv1.0/STATE/scada-{self.group}", state, 1, retain=True)


def check_delivery(kind: str, message: MQTTMessage) -> None:
    assert not message.retain
    assert message.qos == (1 if kind == "NDEATH" else 0)


@pytest.fixture
def host(broker: Mosquitto, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host with a group of its own for each test."""
    made = Host(broker, request.node.name.replace("[", "-"))
    yield made
    made.subscriber.close()


def node(uri: str, group: str, **target: Any) -> dict[str, Any]:
    known = {"sparkplug_group": group, "sparkplug_node": "line3", "timeout": 5}
    rules = [{"address": "$camera", "verdicts": ["good", "defect", "late"], "window": 60.0}]
    return {"name": "scada", "uri": uri, "rules": rules} | known | target


def in_order(reads: list[Read]) -> bool:
    """Whether sequence numbers follow each other, and births of the node begin at 0."""
    numbers = [read.sequence for read in reads if read.sequence is not None]
    return all(after in (0, before + 1) for before, after in pairwise(numbers))


def test_a_payload_is_what_the_published_schema_writes() -> None:
    time = 1_700_000_000_000
    metrics = [
        Metric("bdSeq", DataType.INT64, 7, time),
        Metric("back", DataType.INT64, -5, time),
        Metric("score", DataType.DOUBLE, 1.5, time),
        Metric("good", DataType.BOOLEAN, True, time),
        Metric("id", DataType.STRING, "Ä1", time),
        Metric("at", DataType.DATE_TIME, time, time),
        Metric("kind", DataType.STRING, None, time),
    ]
    assert encode(metrics, time + 123, 255) == PUBLISHED
    read = read_payload(PUBLISHED)
    assert read.values == {metric.name: metric.value for metric in metrics}
    assert (read.sequence, read.time) == (255, time + 123)
    assert is_true(rebirth_command(), "Node Control/Rebirth")
    assert not is_true(PUBLISHED, "Node Control/Rebirth")
    for wrong in (b"\xff", b"rebirth"):
        with pytest.raises(ValueError, match="not a Sparkplug payload"):
            is_true(wrong, "Node Control/Rebirth")


def test_births_then_a_verdict_as_metrics_of_its_camera_then_the_death(broker: Mosquitto, host: Host) -> None:
    target = node(broker.uri, host.group, heartbeat="Heartbeat", heartbeat_interval=0.05)
    with acting(target) as running:
        running.wait_up("scada")
        part = Part(id="p1", product="cover", station="press-2", encoder=-3)
        verdict = running.inspect("defect", part=part, kind="scratch", p_value=0.25)
        running.inspect("good")
        birth, device, first, second = host.wait("NBIRTH", "DBIRTH", "DDATA", "DDATA")
        host.subscriber.wait_that(
            lambda: any(kind == "NDATA" and read.values["Alive"] for kind, _, read in host.heard())
        )
    *_, death = host.wait("NBIRTH", "DBIRTH", "DDATA", "DDATA", "NDEATH")
    assert birth.sequence == 0
    assert birth.values["bdSeq"] == 0
    assert birth.values["Node Control/Rebirth"] is False
    assert set(birth.values) >= {"Heartbeat", "Alive"}
    assert birth.types["bdSeq"] == birth.types["Heartbeat"] == "Int64"
    assert set(device.values.values()) == {None}
    assert first.types == second.types == device.types
    expected = {
        "Verdict/Id": verdict.id,
        "Verdict/Result": "defect",
        "Verdict/Good": False,
        "Verdict/Camera": "station-1",
        "Verdict/CapturedAt": round(1000 * verdict.captured_at),
        "Verdict/Score": 2.0,
        "Verdict/PValue": 0.25,
        "Verdict/Kind": "scratch",
        "Part/Id": "p1",
        "Part/Product": "cover",
        "Part/Station": "press-2",
        "Part/Encoder": -3,
    }
    assert {name: first.values[name] for name in expected} == expected
    assert second.values["Verdict/Good"] is True
    assert second.values["Part/Id"] is None  # nothing of the part before
    assert (death.values, death.sequence) == ({"bdSeq": 0}, None)
    assert in_order([read for _, _, read in host.heard()])
    counts = [read.values["Heartbeat"] for kind, _, read in host.heard() if kind == "NDATA"]
    assert counts == sorted(counts)


def test_a_host_gets_all_births_again_when_it_asks(broker: Mosquitto, host: Host) -> None:
    with acting(node(broker.uri, host.group)) as running:
        running.wait_up("scada")
        running.inspect("defect", part=Part(id="p1"))
        host.wait("NBIRTH", "DBIRTH", "DDATA")
        host.command(b"no payload")
        host.command(rebirth_command())
        *_, birth, device = host.wait("NBIRTH", "DBIRTH", "DDATA", "NBIRTH", "DBIRTH")
        assert (birth.sequence, birth.values["bdSeq"], device.sequence) == (0, 0, 1)
        assert device.values["Part/Id"] == "p1"
        running.inspect("good")
        *_, data = host.wait("NBIRTH", "DBIRTH", "DDATA", "NBIRTH", "DBIRTH", "DDATA")
        assert data.sequence == 2


def test_a_lost_connection_is_the_death_of_that_birth_and_the_next_has_another_number(
    broker: Mosquitto, host: Host
) -> None:
    with Relay(broker.port) as relay, acting(node(f"mqtt://127.0.0.1:{relay.port}", host.group)) as running:
        running.wait_up("scada")
        running.inspect()
        host.wait("NBIRTH", "DBIRTH", "DDATA")
        relay.cut()
        running.wait_up("scada", False)  # with nothing sent, and no heartbeat
        relay.listen()
        *_, death, birth, device = host.wait("NBIRTH", "DBIRTH", "DDATA", "NDEATH", "NBIRTH", "DBIRTH")
        assert (death.values["bdSeq"], birth.values["bdSeq"]) == (0, 1)
        assert device.values["Verdict/Result"] == "defect"


def test_nothing_is_published_while_the_primary_host_is_offline(broker: Mosquitto, host: Host) -> None:
    target = node(broker.uri, host.group, sparkplug_host=f"scada-{host.group}", timeout=0.3)
    with acting(target) as running:
        host.say(False, 1000)
        running.wait_up("scada", False)
        host.say(True, 2000)
        running.wait_up("scada")
        host.say(False, 1500)  # older than what is known
        running.inspect()
        host.wait("NBIRTH", "DBIRTH", "DDATA")
        host.say(False, 3000)
        *_, death = host.wait("NBIRTH", "DBIRTH", "DDATA", "NDEATH")
        running.wait_up("scada", False)
        host.say(True, 4000)
        *_, birth, _ = host.wait("NBIRTH", "DBIRTH", "DDATA", "NDEATH", "NBIRTH", "DBIRTH")
        assert birth.values["bdSeq"] == death.values["bdSeq"] + 1


@pytest.mark.parametrize("state", [b"ONLINE", b"[]", b"{}", b'{"online": 1, "timestamp": 1}', b'{"online": true}'])
def test_what_is_no_state_of_a_host_is_refused(state: bytes) -> None:
    with pytest.raises(ValueError, match=r"no state|not a JSON|Expecting"):
        read_state(state)


def test_a_name_from_a_verdict_is_one_level_and_there_are_so_many_devices(
    broker: Mosquitto, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparkplug, "MAX_DEVICES", 2)
    with acting(node(broker.uri, host.group, rules=[{"address": "$station", "window": 60.0}])) as running:
        running.wait_up("scada")
        for station in ("a/b+#", "c", "d"):
            running.inspect(part=Part(station=station))
        running.wait_counted("scada", "failed", 1)
        host.wait("NBIRTH", "DBIRTH", "DDATA", "DBIRTH", "DDATA")
        assert {device for _, device, _ in host.heard()} == {"", "a_b__", "c"}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"sparkplug_node": None}, "sparkplug_group and sparkplug_node belong together"),
        ({"sparkplug_group": "a/b"}, "String should match pattern"),
        ({"sparkplug_group": None, "sparkplug_node": None, "sparkplug_host": "a"}, "sparkplug_host needs"),
        ({"qos": 2}, "qos is not for Sparkplug"),
        ({"remember": True}, "remember is not for Sparkplug"),
        ({"rules": [{"address": "a", "pulse": 1}]}, "rule 1: payload, pulse, hold and safe are not for Sparkplug"),
        ({"rules": [{"address": "a/b"}]}, "the name of a Sparkplug device has no /"),
        ({"uri": "modbus://b"}, "sparkplug_group is for mqtt alone"),
    ],
)
def test_settings_that_do_not_fit_sparkplug(target: dict[str, Any], said: str) -> None:
    with pytest.raises((UsageError, ValueError)) as caught:
        make_link(TargetSettings.model_validate(node("mqtt://127.0.0.1:1", "g") | target))
    assert said in str(caught.value)


def test_a_probe_leaves_no_birth_and_no_death(broker: Mosquitto, host: Host) -> None:
    link = SparkplugLink(TargetSettings.model_validate(node(broker.uri, host.group)))
    assert link.probe() == "the broker answers, MQTT 5, Sparkplug B"
    with pytest.raises(LinkError, match="not connected"):
        link.send(Message("station-1", "", "", fact=fact()))
    link.close()
    assert host.heard() == []
