"""TLS, users and every mistake in between, against the real broker."""

from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.connection import client_options
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.settings.loading import load_settings

from tests.fixtures.broker import Authority
from tests.fixtures.kafka_line import Line
from tests.fixtures.small_model import draw, encode


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_frames_come_through_tls_with_a_user(
    mechanism: str, cluster: Any, authority: Authority, model_path: Path, tmp_path: Path
) -> None:
    line = Line(cluster.servers, f"secure-{mechanism.lower()}", model_path, tmp_path)
    line.send([encode(draw(1))])
    secret = tmp_path / "secret"
    secret.write_text("line-secret\n")
    line.servers = cluster.secure_servers
    with line.monitor(
        "kafka.security=sasl_ssl",
        f"kafka.ca_file={authority.certificate}",
        f"kafka.sasl_mechanism={mechanism}",
        "kafka.username=line",
        f"kafka.password_file={secret}",
    ) as monitor:
        line.servers = cluster.servers
        assert len(line.read_verdicts(1)) == 1
    assert "line-secret" not in monitor.log.read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"security": "sasl_ssl", "username": "u", "password": "p"}, "needs sasl_mechanism"),
        ({"security": "sasl_ssl", "sasl_mechanism": "PLAIN", "password": "p"}, "needs username"),
        ({"security": "sasl_ssl", "sasl_mechanism": "PLAIN", "username": "u"}, "needs password_file"),
        ({"sasl_mechanism": "PLAIN"}, "right is sasl_ssl"),
        ({"ca_file": "ca.pem"}, "right is ssl"),
        ({"security": "ssl", "key_file": "key.pem"}, "without certificate_file"),
        ({"fetch_bytes": 1000}, "fetch_bytes is smaller than max_message_bytes"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_settings({f"kafka.{key}": value for key, value in settings.items()}, None)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    address = parse_address("kafka://broker:9092/t")
    with pytest.raises(UsageError, match=r"kafka.ca_file: .*no.pem: no such file"):
        client_options(KafkaSettings(security="ssl", ca_file=tmp_path / "no.pem"), address)
    (tmp_path / "text").write_text("not a certificate")
    with pytest.raises(UsageError, match=r"kafka.ca_file: .*not a PEM file"):
        client_options(KafkaSettings(security="ssl", ca_file=tmp_path / "text"), address)


def test_a_password_where_the_path_of_its_file_belongs_is_not_shown() -> None:
    settings = KafkaSettings(
        security="sasl_plaintext", sasl_mechanism="PLAIN", username="u", password_file=Path("hunter2")
    )
    with pytest.raises(UsageError, match=r"kafka.password_file: no such file; right is the path") as caught:
        client_options(settings, parse_address("kafka://broker:9092/t"))
    assert "hunter2" not in str(caught.value)
