"""OPC UA: writing a server's nodes, and being a server that a PLC reads; with and without encryption."""

import logging
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
from asyncua.sync import Client
from asyncua.ua.uaerrors import UaStatusCodeError

from tests.fixtures.actions import acting
from tests.fixtures.kafka_line import PATIENCE
from tests.fixtures.keys import make_keys
from tests.fixtures.mosquitto import free_port
from tests.fixtures.opcua_plc import BUTTON, COUNT, GATE, PASSWORD, READ_ONLY, USER, PlcServer
from tests.fixtures.relay import Relay


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
    for count in (2, 3):
        link.beat(GATE, count, True)  # a Boolean toggles
        assert plc.read(GATE) is bool(count % 2)
    link.close()
    with pytest.raises(LinkError, match="refuses"):
        OpcUaLink(TargetSettings.model_validate(gate(plc.uri, heartbeat="ns=2;s=Absent"))).probe()
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


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates with one key, key.pem: good.pem, old.pem (expired); and other.pem with other-key.pem."""
    folder = make_keys(tmp_path_factory.mktemp("keys"))
    (folder / "good.key").rename(folder / "key.pem")
    other = make_keys(tmp_path_factory.mktemp("other"))
    (other / "good.pem").rename(folder / "other.pem")
    (other / "good.key").rename(folder / "other-key.pem")
    (folder / "password").write_text(PASSWORD)
    (folder / "wrong").write_text("a wrong password")
    return folder


@pytest.fixture(scope="module")
def secure_plc(keys: Path) -> Iterator[PlcServer]:
    started = PlcServer(keys / "good.pem", keys / "key.pem")
    started.start()
    yield started
    started.stop()


def secure(uri: str, keys: Path, **target: Any) -> dict[str, Any]:
    """A client with a certificate, a user, and the server's certificate."""
    files = {"certificate_file": keys / "other.pem", "key_file": keys / "other-key.pem", "ca_file": keys / "good.pem"}
    return gate(uri, username=USER, password_file=keys / "password", **files) | target


def test_a_signed_and_encrypted_session_of_a_user(secure_plc: PlcServer, keys: Path) -> None:
    link = OpcUaLink(TargetSettings.model_validate(secure(secure_plc.uri, keys)))
    assert link.probe() == "the server answers, signed and encrypted"
    link.send(Message(GATE, "1", ""))
    assert secure_plc.read(GATE) is True
    link.close()
    known = OpcUaLink(TargetSettings.model_validate(secure(secure_plc.uri, keys, username=None, password_file=None)))
    with pytest.raises(LinkError, match="BadUserAccessDenied"):
        known.open()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password_file": "wrong"}, "BadUserAccessDenied"),
        ({"username": "somebody"}, "BadUserAccessDenied"),
        ({"ca_file": "other.pem"}, "shows another certificate than ca_file"),
        ({"certificate_file": "password"}, "certificate_file"),
    ],
)
def test_a_wrong_user_or_certificate_is_one_line_without_a_secret(
    secure_plc: PlcServer, keys: Path, changed: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = {name: keys / value if name.endswith("_file") else value for name, value in changed.items()}
    caplog.set_level(logging.DEBUG)
    with pytest.raises((LinkError, UsageError)) as caught:
        OpcUaLink(TargetSettings.model_validate(secure(secure_plc.uri, keys, timeout=2, **files))).open()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    for secret in (PASSWORD, "a wrong password", "PRIVATE KEY"):
        assert secret not in caplog.text + str(caught.value)


def test_a_server_whose_certificate_has_expired_gets_no_password(keys: Path) -> None:
    plc = PlcServer(keys / "old.pem", keys / "key.pem")
    plc.start()
    link = OpcUaLink(TargetSettings.model_validate(secure(plc.uri, keys, ca_file=keys / "old.pem")))
    with pytest.raises(LinkError) as caught:
        link.open()
    plc.stop()
    assert "BadCertificateTimeInvalid" in str(caught.value)


def test_a_plc_reads_our_own_server_and_must_be_known(keys: Path) -> None:
    uri = f"opc.tcp://127.0.0.1:{free_port()}"
    rules = [{"address": "Reject", "hold": True, "window": 60.0}]
    target = gate(uri, serve=True, rules=rules, heartbeat="Heartbeat", acknowledge="Acknowledge")
    target |= {"heartbeat_interval": 0.05, "certificate_file": keys / "good.pem", "key_file": keys / "key.pem"}
    target |= {"ca_file": keys / "other.pem", "username": USER, "password_file": keys / "password"}
    with acting(target) as running:
        running.wait_up("gate")
        with pytest.raises(Exception, match=r"."), Client(uri):  # not encrypted
            pass

        def client_of(name: str, user: str | None = USER, password: str = PASSWORD) -> Client:
            client = Client(uri)
            key = "other-key.pem" if name == "other.pem" else "key.pem"
            client.set_security_string(f"Basic256Sha256,SignAndEncrypt,{keys / name},{keys / key}")
            if user is not None:
                client.set_user(user)
                client.set_password(password)
            return client

        for refused, said in (
            (client_of("good.pem"), "BadCertificateUntrusted"),
            (client_of("old.pem"), "BadCertificateTimeInvalid"),
            (client_of("other.pem", password="a wrong password"), "BadUserAccessDenied"),
            (client_of("other.pem", user=None), "BadUserAccessDenied|BadIdentityTokenRejected"),
        ):
            with pytest.raises(Exception, match=said), refused:
                pass
        with client_of("other.pem") as client:
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
