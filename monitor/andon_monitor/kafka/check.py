"""The Kafka part of `andon-monitor check`: it connects, reads, and changes nothing."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from andon_monitor.errors import UsageError
from andon_monitor.formats.decompression import missing_codecs
from andon_monitor.kafka.address import Address, is_kafka, parse_address
from andon_monitor.kafka.connection import client_options, describe
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.kafka.endpoints import check_exactly_once, dead_letters_of
from andon_monitor.kafka.health import Backoff
from andon_monitor.kafka.topics import STATE_SUFFIX, VIEWS_SUFFIX, must_have_as_many
from andon_monitor.settings.groups import KafkaSettings, Settings

# A new cluster creates its topic of offsets with the first question about a group, which takes a few seconds.
COORDINATOR_SECONDS = 15.0
TOPIC_CONFIGS = ("max.message.bytes", "compression.type")
# What is done with a topic, where it is not only written to. Parts are joined through two topics of their own.
VIEWS_ROLE, STATE_ROLE = "output.parts: views", "output.parts: state"
RIGHTS = {"source": ("READ",), VIEWS_ROLE: ("READ", "WRITE"), STATE_ROLE: ("READ", "WRITE")}

Finding = tuple[str, bool, str]  # what was checked, whether it passed, one line


@dataclass(frozen=True)
class Found:
    """What a topic is; the limit is None without permission to read it."""

    partitions: int
    max_message_bytes: int | None


def check_kafka(settings: Settings) -> Iterator[Finding]:
    """Check the connection, then each topic: whether it exists, we may use it, and its limits fit the settings."""
    roles = {"source": settings.source.uri, "output.verdicts": settings.output.verdicts}
    try:
        check_exactly_once(settings)
        roles["output.dead_letters"] = dead_letters_of(settings)
        roles["output.evidence"] = settings.output.evidence
        roles["output.parts"] = settings.output.parts
        addresses = {role: parse_address(uri) for role, uri in roles.items() if uri is not None and is_kafka(uri)}
    except UsageError as error:
        yield "kafka", False, str(error)
        return
    parts = addresses.get("output.parts")
    if parts is not None:
        addresses |= {
            VIEWS_ROLE: parts.with_topic(parts.topic + VIEWS_SUFFIX),
            STATE_ROLE: parts.with_topic(parts.topic + STATE_SUFFIX),
        }
    topics: dict[str, Found] = {}
    for servers in dict.fromkeys(address.servers for address in addresses.values()):
        here = {role: address for role, address in addresses.items() if address.servers == servers}
        yield from _check_cluster(here, settings.kafka, topics)
    yield from _compare(topics, addresses)


def _compare(topics: dict[str, Found], addresses: dict[str, Address]) -> Iterator[Finding]:
    """What does not fit between two topics."""
    frames, letters = (
        topics[role].max_message_bytes if role in topics else None for role in ("source", "output.dead_letters")
    )
    if frames is not None and letters is not None and letters < frames:
        yield (
            "kafka.sizes",
            False,
            f"{addresses['output.dead_letters'].topic} takes messages of {letters} bytes, {addresses['source'].topic} "
            f"of {frames}: a dead letter is as large as its frame; raise max.message.bytes of the former",
        )
    if VIEWS_ROLE in topics and STATE_ROLE in topics:
        try:
            must_have_as_many(
                addresses[VIEWS_ROLE],
                topics[VIEWS_ROLE].partitions,
                addresses[STATE_ROLE],
                topics[STATE_ROLE].partitions,
            )
        except UsageError as error:
            yield "output.parts", False, str(error)


def _check_cluster(roles: dict[str, Address], settings: KafkaSettings, topics: dict[str, Found]) -> Iterator[Finding]:
    address = next(iter(roles.values()))
    try:
        fault = diagnose(address, settings)
        if fault is not None:
            yield "kafka", False, fault.message
            return
        admin = KafkaAdminClient(**client_options(settings, address))
    except (UsageError, kafka_errors.KafkaError) as error:
        yield "kafka", False, str(error)
        return
    try:
        yield "kafka", True, f"{','.join(address.servers)}, {settings.security}, delivery {settings.delivery}"
        for role, target in roles.items():
            yield _check_topic(admin, role, target, settings, topics)
        if "source" in roles:
            yield _check_group(admin, settings)
    finally:
        admin.close()


def _check_topic(
    admin: KafkaAdminClient, role: str, address: Address, settings: KafkaSettings, topics: dict[str, Found]
) -> Finding:
    wanted = RIGHTS.get(role, ("WRITE",))
    try:
        topic = admin.describe_topics([address.topic])[0]
        error = kafka_errors.for_code(topic["error_code"])
        if error is kafka_errors.UnknownTopicOrPartitionError:
            return role, False, f"{address}: no such topic; create it with andon-monitor topics"
        if issubclass(error, kafka_errors.AuthorizationError):
            return (
                role,
                False,
                f"{address}: no permission to see this topic; the user needs {', '.join(wanted)} and DESCRIBE",
            )
        operations = {getattr(operation, "name", str(operation)) for operation in topic["authorized_operations"] or ()}
        if operations and not operations.issuperset(wanted):
            return role, False, f"{address}: no permission; the user needs {' and '.join(wanted)} on this topic"
        configs = _topic_configs(admin, address.topic)
    except kafka_errors.KafkaError as error:
        return role, False, f"{address}: cannot be checked ({describe(error)})"
    partitions = len(topic["partitions"])
    topics[role] = Found(partitions, None)
    detail = f"{address}, {partitions} partitions"
    missing = missing_codecs()
    if role == "source" and missing:
        compression = configs["compression.type"] if configs else "unknown"
        unreadable = (
            f"records compressed by {', '.join(missing)} cannot be read: pip install {' '.join(missing.values())}"
        )
        return role, False, f"{address}: {unreadable} (compression.type of the topic: {compression})"
    if configs is None:
        return role, True, detail + ", no permission to read its size limit"
    limit = int(configs["max.message.bytes"])
    topics[role] = Found(partitions, limit)
    if role == "source" and limit > settings.max_message_bytes:
        return (
            role,
            False,
            f"{address}: takes messages of {limit} bytes, kafka.max_message_bytes is {settings.max_message_bytes}: "
            f"set that to {limit}",
        )
    return role, True, f"{detail}, messages up to {limit} bytes"


def _topic_configs(admin: KafkaAdminClient, topic: str) -> dict[str, str] | None:
    """The values of `TOPIC_CONFIGS`; None without permission to read them."""
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(TOPIC_CONFIGS, ""))
    try:
        found: dict[str, Any] = admin.describe_configs([resource], config_filter="all")
    except kafka_errors.AuthorizationError:
        return None
    for topics in found.values():
        for configs in topics.values():
            if all(name in configs for name in TOPIC_CONFIGS):
                return {name: str(configs[name]["value"]) for name in TOPIC_CONFIGS}
    return None


def _check_group(admin: KafkaAdminClient, settings: KafkaSettings) -> Finding:
    deadline, backoff = time.monotonic() + COORDINATOR_SECONDS, Backoff()
    try:
        while True:
            try:
                admin.list_group_offsets({settings.group_id: None})
                break
            except (kafka_errors.CoordinatorNotAvailableError, kafka_errors.NotCoordinatorError):
                if time.monotonic() > deadline:
                    raise
            backoff.wait()
    except kafka_errors.GroupAuthorizationFailedError:
        return "kafka.group_id", False, f"{settings.group_id}: no permission; the user needs READ on this group"
    except kafka_errors.KafkaError as error:
        return "kafka.group_id", False, f"{settings.group_id}: cannot be checked ({describe(error)})"
    return "kafka.group_id", True, settings.group_id
