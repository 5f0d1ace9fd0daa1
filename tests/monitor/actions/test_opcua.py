"""OPC UA: writing a server's nodes, and being a server that a PLC reads; with and without encryption."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.actions.links.opcua import OpcUaLink
from andon_monitor.errors import UsageError
from andon_monitor.inspection.part import Part
from andon_monitor.settings.actions import TargetSettings
from asyncua import ua
from asyncua.sync import Client, Server
from asyncua.ua.uaerrors import UaStatusCodeError

from tests.fixtures.actions import acting
from tests.fixtures.kafka_line import PATIENCE
from tests.fixtures.keys import make_keys
from tests.fixtures.mosquitto import free_port
from tests.fixtures.relay import Relay

GATE, COUNT, BUTTON, READ_ONLY = ("ns=2;s=Gate", "ns=2;s=Count", "ns=2;s=Button", "ns=2;s=Name")


class PlcServer:
    """A PLC's server: a gate, a counter for the heartbeat, a button. It keeps every value written to them."""

    def __init__(self) -> None:
        self.port = free_port()
        self.written: dict[str, list[Any]] = {}
        self._changed = threading.Condition()
        self._server: Server | None = None

    @property
    def uri(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        server = Server()
        server.set_endpoint(self.uri)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.register_namespace("urn:plc")
        nodes = {GATE: False, COUNT: ua.Variant(0, ua.VariantType.UInt16), BUTTON: False, READ_ONLY: "plc"}
        for address, value in nodes.items():
            node = server.nodes.objects.add_variable(ua.NodeId.from_string(address), address[7:], value)
            if address != READ_ONLY:
                node.set_writable()
        server.start()
        self._server = server
        subscription = server.create_subscription(5, self)
        subscription.subscribe_data_change([server.get_node(address) for address in (GATE, COUNT)])

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        with self._changed:
            self.written.setdefault(node.nodeid.to_string(), []).append(value)
            self._changed.notify_all()

    def write(self, address: str, value: Any) -> None:
        assert self._server is not None
        self._server.get_node(address).write_value(value)

    def read(self, address: str) -> Any:
        assert self._server is not None
        return self._server.get_node(address).read_value()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


def wait(condition: Callable[[], Any]) -> None:
    """Until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def plc() -> Iterator[PlcServer]:
    started = PlcServer()
    started.start()
    yield started
    started.stop()


def gate(uri: str, **target: Any) -> dict[str, Any]:
    rule = {"address": GATE, "pulse": 0.2, "window": 60.0}
    return {"name": "gate", "uri": uri, "rules": [rule], "timeout": 5} | target


def test_a_defect_switches_a_node_and_the_heartbeat_counts(plc: PlcServer) -> None:
    held = {"address": GATE, "hold": True, "window": 60.0}
    target = gate(plc.uri, rules=[held], heartbeat=COUNT, heartbeat_interval=0.05, acknowledge=BUTTON)
    with acting(target) as running:
        wait(lambda: running.is_up("gate") and plc.read(GATE) is False)
        wait(lambda: plc.read(COUNT) >= 2)
        running.inspect("good")
        running.inspect("defect")
        running.wait_counted("gate", "done", 1)
        assert plc.read(GATE) is True
        plc.write(BUTTON, True)
        wait(lambda: plc.read(GATE) is False)
        assert plc.read(BUTTON) is False
    assert plc.read(GATE) is True  # the safe state


def test_what_a_server_refuses_is_said(plc: PlcServer) -> None:
    link = OpcUaLink(TargetSettings.model_validate(gate(plc.uri)))
    assert link.probe() == "the server answers"
    for address, payload, said in (
        ("ns=2;s=Absent", "1", "refuses"),
        (READ_ONLY, "x", "refuses"),
        (GATE, "open", "is not 0, 1, true or false"),
        (COUNT, "many", "invalid literal"),
    ):
        with pytest.raises(LinkError, match=said) as caught:
            link.send(Message(address, payload, ""))
        assert caught.value.lasting
    link.close()
    with pytest.raises(UsageError, match="is not an OPC UA node"):
        OpcUaLink(TargetSettings.model_validate(gate(plc.uri, rules=[{"address": "Gate"}])))


def test_a_server_that_cannot_be_reached_is_found_again(plc: PlcServer) -> None:
    with Relay(plc.port) as relay, acting(gate(f"opc.tcp://127.0.0.1:{relay.port}", timeout=1)) as running:
        running.wait_up("gate")
        relay.cut()
        running.inspect()
        running.wait_up("gate", False)
        relay.listen()
        running.wait_up("gate")
        running.inspect()
        running.wait_counted("gate", "done", 1)


def test_a_plc_reads_our_own_server_and_must_encrypt(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    (keys / "good.key").rename(keys / "key.pem")
    uri = f"opc.tcp://127.0.0.1:{free_port()}"
    rules = [{"address": "Reject", "hold": True, "window": 60.0}]
    target = gate(uri, serve=True, rules=rules, heartbeat="Heartbeat", acknowledge="Acknowledge")
    target |= {"heartbeat_interval": 0.05, "certificate_file": keys / "good.pem", "key_file": keys / "key.pem"}
    with acting(target) as running:
        running.wait_up("gate")
        with pytest.raises(Exception, match=r"."), Client(uri):  # not encrypted
            pass
        client = Client(uri)
        client.set_security_string(f"Basic256Sha256,SignAndEncrypt,{keys / 'good.pem'},{keys / 'key.pem'}")
        with client:
            index = client.get_namespace_index("urn:andon:monitor")

            def read(name: str) -> Any:
                return client.get_node(f"ns={index};s=gate/{name}").read_value()

            wait(lambda: read("Alive") and read("Heartbeat") >= 2 and not read("Reject"))
            verdict = running.inspect("defect", part=Part(id="p1", product="cover"))
            wait(lambda: read("Reject"))
            wait(lambda: read("Result/ResultId") == verdict.id)
            assert (read("Result/PartId"), read("Result/ProductId")) == ("p1", "cover")
            assert (read("Result/ResultEvaluation"), read("Result/Content")) == (2, verdict.to_json())
            client.get_node(f"ns={index};s=gate/Acknowledge").write_value(True)
            wait(lambda: not read("Reject") and not read("Acknowledge"))
            with pytest.raises(UaStatusCodeError):
                client.get_node(f"ns={index};s=gate/Reject").write_value(True)
            running.running.clear()  # frames are not taken any more
            wait(lambda: not read("Alive"))
            assert read("Reject") is True
            running.running.set()
            wait(lambda: read("Alive"))
