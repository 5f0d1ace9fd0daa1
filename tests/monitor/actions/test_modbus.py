"""Modbus against a real server: pulses, the watchdog's register, what a button acknowledges, a PLC that goes away."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from andon_monitor.actions.links.base import LinkError, Message
from andon_monitor.actions.links.modbus import ModbusLink, parse_value
from andon_monitor.errors import UsageError
from andon_monitor.settings.actions import TargetSettings

from tests.fixtures.actions import acting, make_verdict
from tests.fixtures.keys import make_keys
from tests.fixtures.modbus_plc import ACKNOWLEDGE, GATE, HEARTBEAT, STOP, Plc


@pytest.fixture
def plc() -> Iterator[Plc]:
    started = Plc()
    started.start()
    yield started
    started.frozen = False
    started.stop()


def gate(plc: Plc, *rules: dict[str, Any], **target: Any) -> dict[str, Any]:
    known = [{"address": f"coil:{GATE}", "pulse": 0.05, "window": 60.0} | rule for rule in rules or ({},)]
    return {"name": "gate", "uri": plc.uri, "rules": known, "timeout": 0.5} | target


def test_a_defect_moves_the_gate_and_the_safe_state_rejects_before_and_after(plc: Plc) -> None:
    with acting(gate(plc)) as running:
        plc.wait_written(GATE, True, False)
        running.inspect("good")
        running.inspect("defect")
        plc.wait_written(GATE, True, False, True, False)
        running.wait_counted("gate", "done", 1)
    assert plc.coil(GATE) is True  # after the end nobody looks at parts
    _, moved, _ = plc.gate_moves()
    assert moved[1] - moved[0] >= 0.04


def test_the_heartbeat_stands_still_while_a_frame_is_not_answered(plc: Plc) -> None:
    target = gate(plc, heartbeat=f"register:{HEARTBEAT}", heartbeat_interval=0.02)
    with acting(target, action_deadline=0.1) as running:
        plc.wait_beat(3)
        frame = running.take()
        plc.wait_coil(GATE, True)  # late, and the safe state
        beats = len(plc.beats)
        running.wait_counted("gate", "done", 1)
        assert len(plc.beats) <= beats + 1  # one may have been on its way
        running.engine.decide(frame, make_verdict(frame, "good"))
        plc.wait_beat(2)
        plc.wait_coil(GATE, False)
    counts = [count for _, count in plc.beats]
    assert counts == sorted(set(counts))


def test_a_button_ends_what_is_held(plc: Plc) -> None:
    stop = {"address": f"coil:{STOP}", "hold": True, "pulse": None, "at_least": 2, "of_last": 2}
    with acting(gate(plc, stop, acknowledge=f"coil:{ACKNOWLEDGE}")) as running:
        plc.wait_written(STOP, True, False)
        running.inspect()
        running.inspect()
        plc.wait_coil(STOP, True)
        button = ModbusLink(TargetSettings.model_validate(gate(plc)))
        button.open()
        button.send(Message(f"coil:{ACKNOWLEDGE}", "1", ""))
        button.close()
        plc.wait_coil(STOP, False)
        plc.wait_coil(ACKNOWLEDGE, False)


def test_a_plc_that_goes_away_and_comes_back_is_set_to_what_is_true_now(plc: Plc) -> None:
    with acting(gate(plc, {"window": 0.1, "pulse": 0.05})) as running:
        plc.wait_written(GATE, True, False)
        plc.stop()
        for _ in range(5):
            running.inspect()
        running.wait_counted("gate", "failed", 5)
        running.wait_up("gate", False)
        before = len(plc.changes)
        plc.start()
        running.wait_up("gate")
        assert [value for _, _, value in plc.changes[before:]] == [False]  # idle; no old pulse
        running.inspect()
        running.wait_counted("gate", "done", 1)


def test_a_plc_that_hangs_is_a_failure_within_the_timeout(plc: Plc) -> None:
    with acting(gate(plc, {"window": 0.1}, timeout=0.2)) as running:
        plc.wait_written(GATE, True, False)
        plc.frozen = True
        started = time.monotonic()
        running.inspect()
        assert time.monotonic() - started < 60  # deciding does not wait
        running.wait_counted("gate", "failed", 1)
        plc.frozen = False
        running.wait_up("gate")


def test_registers_of_one_and_two_words_and_refusals(plc: Plc) -> None:
    link = ModbusLink(TargetSettings.model_validate(gate(plc)))
    assert link.probe() == "unit 1 answers"
    link.send(Message("register:7", "-2", ""))
    link.send(Message("register32:8", "70000", ""))
    answer = link._ask("read_holding_registers", 7, count=3, device_id=1)
    assert answer.registers == [65534, 1, 4464]
    for address, payload in (("coil:9999", "1"), ("register:1", "x"), ("coil:1", "2"), ("input:1", "1")):
        with pytest.raises(LinkError) as caught:
            link.send(Message(address, payload, ""))
        assert caught.value.lasting
    link.close()
    with pytest.raises(LinkError, match="connection lost"):
        link.send(Message("coil:1", "1", ""))


@pytest.mark.parametrize(
    ("rule", "target", "said"),
    [
        ({"address": "gate"}, {}, "rule 1: address 'gate': right is coil:N"),
        ({"address": "coil:70000"}, {}, "N from 0 to 65535"),
        ({"payload": "open"}, {}, "rule 1: 'open' is not a whole number"),
        ({"address": "register:1", "payload": "70000"}, {}, "does not fit into a register"),
        ({}, {"heartbeat": "coil:1"}, "heartbeat: 'coil:1': right is register:N"),
        ({}, {"acknowledge": "button"}, "acknowledge: address 'button'"),
    ],
)
def test_addresses_and_values_that_no_device_takes(rule: dict[str, Any], target: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        ModbusLink(TargetSettings.model_validate(gate(Plc(), rule, **target)))
    assert said in str(caught.value)


def test_values() -> None:
    assert [parse_value("coil", text) for text in ("1", "0", "true", "False")] == [1, 0, 1, 0]
    assert parse_value("register32", "-1") == 2**32 - 1


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_keys(tmp_path_factory.mktemp("keys"))


@contextmanager
def tls_plc(keys: Path, certificate: str = "good.pem") -> Iterator[Plc]:
    """A PLC that shows this certificate, and wants one of its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / certificate, keys / "good.key")
    context.load_verify_locations(keys / "good.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    plc = Plc(tls=context)
    plc.start()
    yield plc
    plc.stop()


def tls_gate(plc: Plc, keys: Path, **target: Any) -> dict[str, Any]:
    files = {"ca_file": keys / "good.pem", "certificate_file": keys / "good.pem", "key_file": keys / "good.key"}
    return gate(plc, **files) | target


def test_modbus_over_tls_with_a_client_certificate(keys: Path) -> None:
    with tls_plc(keys) as plc:
        with acting(tls_gate(plc, keys, heartbeat=f"register:{HEARTBEAT}", heartbeat_interval=0.02)) as running:
            plc.wait_written(GATE, True, False)
            plc.wait_beat(2)
            running.inspect("defect")
            plc.wait_written(GATE, True, False, True, False)
        link = ModbusLink(TargetSettings.model_validate(tls_gate(plc, keys)))
        assert link.probe() == "unit 1 answers, TLS"
        link.close()


@pytest.mark.parametrize(
    ("shown", "changed", "said"),
    [
        ("old.pem", {"ca_file": "old.pem"}, "does not answer (certificate has expired)"),
        ("good.pem", {"ca_file": "secret.pem"}, "does not answer (self-signed certificate)"),
        ("good.pem", {"certificate_file": None, "key_file": None}, "does not answer"),
    ],
)
def test_a_wrong_certificate_is_one_line_and_nothing_is_written(
    keys: Path, shown: str, changed: dict[str, str | None], said: str
) -> None:
    files = {name: None if value is None else keys / value for name, value in changed.items()}
    with tls_plc(keys, shown) as plc:
        with pytest.raises(LinkError) as caught:
            ModbusLink(TargetSettings.model_validate(tls_gate(plc, keys, **files))).probe()
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert plc.changes == []
