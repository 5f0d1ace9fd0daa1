"""Why a broker cannot be reached is said in one line."""

from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.settings.groups import KafkaSettings

from tests.fixtures.broker import Authority
from tests.fixtures.kafka_security import secure_settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"password": "wrong"}, "user line refused with SCRAM-SHA-512"),
        ({"username": "nobody"}, "user nobody refused with SCRAM-SHA-512"),
        ({"ca_file": None}, "certificate is not accepted .*wrong kafka.ca_file"),
        ({"security": "sasl_plaintext", "ca_file": None}, "no Kafka answers as kafka.security sasl_plaintext expects"),
    ],
)
def test_a_connection_refused_says_why(
    changes: dict[str, Any], message: str, cluster: Any, authority: Authority
) -> None:
    address = parse_address(f"kafka://{cluster.secure_servers}/andon.frames")
    fault = diagnose(address, secure_settings(authority, **changes))
    assert fault is not None
    with pytest.raises(UsageError, match=message):
        raise UsageError(fault.message)
    assert "secret" not in fault.message


def test_tls_is_not_spoken_by_a_plain_listener_and_nobody_by_no_listener(servers: str, authority: Authority) -> None:
    plain = parse_address(f"kafka://{servers}/t")
    fault = diagnose(plain, secure_settings(authority))
    assert fault is not None
    assert "no TLS there" in fault.message
    nobody = diagnose(parse_address("kafka://127.0.0.1:1/t"), KafkaSettings())
    assert nobody is not None
    assert nobody.may_pass
    assert "127.0.0.1:1: no broker there (Connection refused)" in nobody.message
