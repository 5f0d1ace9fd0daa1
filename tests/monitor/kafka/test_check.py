"""`andon-monitor check` names what does not fit: topics, sizes, rights."""

from pathlib import Path
from typing import Any

import pytest
from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.kafka.topics import must_exist
from andon_monitor.run.check import run_checks
from andon_monitor.settings.loading import load_settings
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

from tests.fixtures.broker import Authority
from tests.fixtures.kafka_line import Line
from tests.fixtures.kafka_security import secure_settings


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
    assert {name: said for name, (passed, said) in results(line).items() if not passed} == {}
    missing = results(line, output__verdicts=line.uri("no.such.topic"))["output.verdicts"]
    assert missing == (False, f"{line.uri('no.such.topic')}: no such topic; create it with andon-monitor topics")
    passed, detail = results(line, kafka__max_message_bytes=1_000_000)["source"]
    assert not passed
    assert "kafka.max_message_bytes is 1000000: set that to 8388608" in detail
    passed, detail = results(line, output__dead_letters=line.uri(line.verdicts))["kafka.sizes"]
    assert not passed
    assert "a dead letter is as large as its frame" in detail


def test_check_names_the_topics_of_parts_that_do_not_fit(line: Line) -> None:
    missing = results(line, output__parts=line.uri(line.parts))
    for role, topic in (("output.parts", line.parts), ("output.parts: state", f"{line.parts}.state")):
        assert missing[role] == (False, f"{line.uri(topic)}: no such topic; create it with andon-monitor topics")
    output = line.create_parts(line.parts)
    found = results(line, output__parts=output)
    assert {name: said for name, (passed, said) in found.items() if not passed} == {}
    admin = KafkaAdminClient(bootstrap_servers=line.servers)
    admin.create_partitions({f"{line.parts}.views": 6})
    admin.close()
    passed, detail = results(line, output__parts=output)["output.parts"]
    assert not passed
    assert "has 4 partitions and " in detail
    assert ".views 6; both need the same number" in detail


def test_check_names_a_topic_that_the_user_may_not_use(cluster: Any, authority: Authority, line: Line) -> None:
    settings = secure_settings(authority, username="guest", password="guest-secret")
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
