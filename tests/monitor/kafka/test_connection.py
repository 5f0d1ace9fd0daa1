"""TLS, users and every mistake in between, against the real broker."""

from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.connection import client_options
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.kafka.topics import create, must_exist, plan
from andon_monitor.run.check import run_checks
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.settings.loading import load_settings
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from tests.fixtures.broker import Authority
from tests.fixtures.kafka_line import Line
from tests.fixtures.small_model import draw, encode


def secure(authority: Authority, **changes: Any) -> KafkaSettings:
    """Settings with which user `line` gets in."""
    right = {
        "security": "sasl_ssl",
        "ca_file": authority.certificate,
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": "line",
        "password": "line-secret",
    }
    return KafkaSettings(**{key: value for key, value in (right | changes).items() if value is not None})


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
    fault = diagnose(address, secure(authority, **changes))
    assert fault is not None
    with pytest.raises(UsageError, match=message):
        raise UsageError(fault.message)
    assert "secret" not in fault.message


def test_tls_is_not_spoken_by_a_plain_listener_and_nobody_by_no_listener(servers: str, authority: Authority) -> None:
    plain = parse_address(f"kafka://{servers}/t")
    fault = diagnose(plain, secure(authority))
    assert fault is not None
    assert "no TLS there" in fault.message
    nobody = diagnose(parse_address("kafka://127.0.0.1:1/t"), KafkaSettings())
    assert nobody is not None
    assert nobody.may_pass
    assert "127.0.0.1:1: no broker there (Connection refused)" in nobody.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"security": "sasl_ssl", "username": "u", "password": "p"}, "needs sasl_mechanism"),
        ({"security": "sasl_ssl", "sasl_mechanism": "PLAIN", "password": "p"}, "needs username"),
        ({"security": "sasl_ssl", "sasl_mechanism": "PLAIN", "username": "u"}, "needs password_file"),
        ({"sasl_mechanism": "PLAIN"}, "security is plaintext; right is sasl_ssl"),
        ({"ca_file": "ca.pem"}, "security is plaintext; right is ssl"),
        ({"security": "ssl", "key_file": "key.pem"}, "without certificate_file"),
        ({"fetch_bytes": 1000}, "fetch_bytes 1000 is smaller than max_message_bytes"),
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


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("kafka://broker:9092", "names no topic"),
        ("kafka://broker/t", "'broker' is not host:port"),
        ("kafka://broker:99999/t", "is not host:port"),
        ("kafka://broker:9092/a b", "is not the name of a topic"),
        ("kafka://me:secret@broker:9092/t", r"kafka://\*\*\*@broker:9092/t: no user or password in the address"),
    ],
)
def test_an_address_that_is_wrong_is_one_line(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_address(uri)
    assert "secret" not in str(caught.value)


def results(line: Line, **flags: Any) -> dict[str, tuple[bool, str]]:
    """What `check` says, by what it tried."""
    given = {
        "model.path": line.model,
        "source.uri": line.uri(line.frames),
        "output.verdicts": line.uri(line.verdicts),
        "output.dead_letters": line.uri(line.letters),
        "server.enabled": False,
    }
    settings = load_settings(given | {key.replace("__", "."): value for key, value in flags.items()}, None)
    return {check.what: (check.passed, check.detail) for check in run_checks(settings)}


def test_check_passes_a_sound_line_and_names_topics_and_sizes_that_do_not_fit(line: Line) -> None:
    assert all(passed for passed, _ in results(line).values()), results(line)
    missing = results(line, output__verdicts=line.uri("no.such.topic"))["output.verdicts"]
    assert missing == (False, f"{line.uri('no.such.topic')}: no such topic; create it with andon-monitor topics")
    passed, detail = results(line, kafka__max_message_bytes=1_000_000)["source"]
    assert not passed
    assert "kafka.max_message_bytes is 1000000: set that to 8388608" in detail
    passed, detail = results(line, output__dead_letters=line.uri(line.verdicts))["kafka.sizes"]
    assert not passed
    assert "a dead letter is as large as its frame" in detail


def test_check_names_a_topic_that_the_user_may_not_use(cluster: Any, authority: Authority, line: Line) -> None:
    settings = secure(authority, username="guest", password="guest-secret")
    address = parse_address(f"kafka://{cluster.secure_servers}/{line.frames}")
    assert diagnose(address, settings) is None
    with pytest.raises(UsageError, match=r"no such topic|no permission"):
        must_exist(address, settings)


def test_check_names_each_right_that_is_missing(cluster: Any, authority: Authority, line: Line, tmp_path: Path) -> None:
    """The user may read frames and see where verdicts go, and no more."""
    rights = [(line.frames, ACLOperation.READ), (line.frames, ACLOperation.DESCRIBE_CONFIGS)]
    rights += [(topic, ACLOperation.DESCRIBE) for topic in (line.verdicts, line.letters)]
    admin = KafkaAdminClient(bootstrap_servers=cluster.servers)
    admin.create_acls(
        [
            ACL("User:guest", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(ResourceType.TOPIC, topic))
            for topic, operation in rights
        ]
    )
    admin.close()
    secret = tmp_path / "secret"
    secret.write_text("guest-secret")
    line.servers = cluster.secure_servers
    found = results(
        line,
        kafka__security="sasl_ssl",
        kafka__ca_file=authority.certificate,
        kafka__sasl_mechanism="SCRAM-SHA-256",
        kafka__username="guest",
        kafka__password_file=secret,
    )
    assert found["kafka"][0], found
    assert found["source"] == (True, f"{line.uri(line.frames)}, 4 partitions, messages up to 8388608 bytes")
    for role, topic in (("output.verdicts", line.verdicts), ("output.dead_letters", line.letters)):
        assert found[role] == (False, f"{line.uri(topic)}: no permission; the user needs WRITE on this topic")
    assert found["kafka.group_id"] == (False, "andon: no permission; the user needs READ on this group")


def test_topics_are_made_once_and_left_as_they_are(servers: str, line: Line) -> None:
    settings = KafkaSettings()
    again = plan(line.frames, line.verdicts, line.letters, 7, settings, line.defects, line.labels)
    assert [new for _, new in create(parse_address(line.uri(line.frames)), again, settings)] == 5 * [False]
