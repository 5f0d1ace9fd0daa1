"""The Kafka part of `andon-monitor check`: it connects, reads, and changes nothing."""

import time
from collections.abc import Iterator
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
from andon_monitor.settings.groups import KafkaSettings, Settings

# A new cluster creates its topic of offsets with the first question about a group, which takes a few seconds.
COORDINATOR_SECONDS = 15.0
TOPIC_CONFIGS = ("max.message.bytes", "compression.type")

Finding = tuple[str, bool, str]  # what was checked, whether it passed, one line


def check_kafka(settings: Settings) -> Iterator[Finding]:
    """Check the connection, then each topic: whether it exists, we may use it, and its limits fit the settings."""
    roles = {"source": settings.source.uri, "output.verdicts": settings.output.verdicts}
    try:
        check_exactly_once(settings)
        roles["output.dead_letters"] = dead_letters_of(settings)
        roles["output.evidence"] = settings.output.evidence
        addresses = {role: parse_address(uri) for role, uri in roles.items() if uri is not None and is_kafka(uri)}
    except UsageError as error:
        yield "kafka", False, str(error)
        return
    limits: dict[str, int] = {}
    for servers in dict.fromkeys(address.servers for address in addresses.values()):
        here = {role: address for role, address in addresses.items() if address.servers == servers}
        yield from _check_cluster(here, settings.kafka, limits)
    frames, letters = limits.get("source"), limits.get("output.dead_letters")
    if frames is not None and letters is not None and letters < frames:
        yield (
            "kafka.sizes",
            False,
            f"{addresses['output.dead_letters'].topic} takes messages of {letters} bytes, {addresses['source'].topic} "
            f"of {frames}: a dead letter is as large as its frame; raise max.message.bytes of the former",
        )


def _check_cluster(roles: dict[str, Address], settings: KafkaSettings, limits: dict[str, int]) -> Iterator[Finding]:
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
            yield _check_topic(admin, role, target, settings, limits)
        if "source" in roles:
            yield _check_group(admin, settings)
    finally:
        admin.close()


def _check_topic(
    admin: KafkaAdminClient, role: str, address: Address, settings: KafkaSettings, limits: dict[str, int]
) -> Finding:
    wanted = "READ" if role == "source" else "WRITE"
    try:
        topic = admin.describe_topics([address.topic])[0]
        error = kafka_errors.for_code(topic["error_code"])
        if error is kafka_errors.UnknownTopicOrPartitionError:
            return role, False, f"{address}: no such topic; create it with andon-monitor topics"
        if issubclass(error, kafka_errors.AuthorizationError):
            return role, False, f"{address}: no permission to see this topic; the user needs {wanted} and DESCRIBE"
        operations = {getattr(operation, "name", str(operation)) for operation in topic["authorized_operations"] or ()}
        if operations and wanted not in operations:
            return role, False, f"{address}: no permission; the user needs {wanted} on this topic"
        configs = _topic_configs(admin, address.topic)
    except kafka_errors.KafkaError as error:
        return role, False, f"{address}: cannot be checked ({describe(error)})"
    detail = f"{address}, {len(topic['partitions'])} partitions"
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
    limits[role] = limit
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
