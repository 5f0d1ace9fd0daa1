"""Creates the topics of a line, with settings that suit what they hold."""

from collections.abc import Iterator
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import NewTopic

from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.connection import client_options, describe
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.kafka.messages import HEADROOM_BYTES
from andon_monitor.settings.groups import KafkaSettings

LOOKUP_TIMEOUT_MS = 5_000  # for a cluster to answer whether it has a topic
HOUR_MS = 3_600_000
# Frames are large and answered within seconds: a day is longer than an outage of the monitors. Verdicts are small and
# serve as records; dead letters wait for a person who may be on holiday. Defects are large, and the review page keeps a
# copy; labels and changes of models are few, and people's work.
RETENTION_MS = {
    "frames": 24 * HOUR_MS,
    "verdicts": 30 * 24 * HOUR_MS,
    "dead-letters": 14 * 24 * HOUR_MS,
    "defects": 3 * 24 * HOUR_MS,
    "labels": 3650 * 24 * HOUR_MS,
    "changes": 3650 * 24 * HOUR_MS,
    "parts": 30 * 24 * HOUR_MS,
    "views": 3 * 24 * HOUR_MS,
    "models": -1,
    "state": -1,
}
# Of the topic of parts, the names of the topics that `andon-monitor parts` keeps for itself.
VIEWS_SUFFIX, STATE_SUFFIX = ".views", ".state"
# Of a compacted topic the newest message of each key stays.
COMPACTED = ("models", "state")
# Compaction works on closed segments only: small ones keep what a restart has to read small.
STATE_CONFIGS = {
    "cleanup.policy": "compact",
    "segment.bytes": str(2**25),
    "segment.ms": str(HOUR_MS),
    "min.cleanable.dirty.ratio": "0.2",
}
# The most that a partition of defects holds: a burst must not fill the brokers' disks.
MAX_DEFECTS_BYTES = 2**31
MAX_VERDICT_BYTES = 2**20


@dataclass(frozen=True)
class Topic:
    """A topic to create. `purpose`: a key of `RETENTION_MS`; `retention_bytes`: of a partition, -1 without a limit."""

    name: str
    purpose: str
    partitions: int
    max_message_bytes: int
    retention_ms: int
    retention_bytes: int = -1

    def describe(self) -> str:
        """Its settings in words."""
        kept = "compacted" if self.purpose in COMPACTED else f"kept for {self.retention_ms // HOUR_MS} h"
        return f"{self.partitions} partitions, {kept}, messages up to {self.max_message_bytes} bytes"


def plan(
    frames: str,
    verdicts: str,
    dead_letters: str,
    partitions: int,
    settings: KafkaSettings,
    defects: str = "andon.defects",
    labels: str = "andon.labels",
    parts: str = "andon.parts",
    changes: str | None = None,
    models: str | None = None,
) -> list[Topic]:
    """The topics of a line. Verdicts have as many partitions as frames, so that each camera's verdicts are in order.

    Views of a part and the state of its joining are in partitions of the same number.
    """
    size = settings.max_message_bytes
    named = (("changes", changes), ("models", models))
    optional = [Topic(name, kind, 1, MAX_VERDICT_BYTES, RETENTION_MS[kind]) for kind, name in named if name is not None]
    return [
        Topic(frames, "frames", partitions, size, RETENTION_MS["frames"]),
        Topic(verdicts, "verdicts", partitions, MAX_VERDICT_BYTES, RETENTION_MS["verdicts"]),
        Topic(dead_letters, "dead-letters", 1, size + HEADROOM_BYTES, RETENTION_MS["dead-letters"]),
        Topic(defects, "defects", partitions, size + HEADROOM_BYTES, RETENTION_MS["defects"], MAX_DEFECTS_BYTES),
        Topic(labels, "labels", 1, MAX_VERDICT_BYTES, RETENTION_MS["labels"]),
        Topic(parts, "parts", partitions, MAX_VERDICT_BYTES, RETENTION_MS["parts"]),
        Topic(parts + VIEWS_SUFFIX, "views", partitions, MAX_VERDICT_BYTES, RETENTION_MS["views"]),
        Topic(parts + STATE_SUFFIX, "state", partitions, MAX_VERDICT_BYTES, RETENTION_MS["state"]),
        *optional,
    ]


def create(address: Address, topics: list[Topic], settings: KafkaSettings) -> Iterator[tuple[Topic, bool]]:
    """Create the topics that are missing; yields each topic with whether it is new. Raises UsageError."""
    fault = diagnose(address, settings)
    if fault is not None:
        raise UsageError(fault.message)
    admin = KafkaAdminClient(**client_options(settings, address))
    try:
        for topic in topics:
            yield topic, _create(admin, topic)
    finally:
        admin.close()


def must_exist(address: Address, settings: KafkaSettings) -> None:
    """Raise UsageError where the cluster has no such topic or forbids its use; an outage raises nothing."""
    try:
        admin = KafkaAdminClient(**client_options(settings, address), bootstrap_timeout_ms=LOOKUP_TIMEOUT_MS)
        try:
            topic = admin.describe_topics([address.topic])[0]
        finally:
            admin.close()
    except kafka_errors.KafkaError:
        return
    error = kafka_errors.for_code(topic["error_code"])
    if error is kafka_errors.UnknownTopicOrPartitionError:
        raise UsageError(f"{address}: no such topic; create it with andon-monitor topics")
    if issubclass(error, kafka_errors.AuthorizationError):
        raise UsageError(f"{address}: no permission to use this topic")


def count_partitions(address: Address, settings: KafkaSettings) -> int | None:
    """The number of partitions of a topic; None where the brokers do not say. Raises UsageError as `must_exist`."""
    must_exist(address, settings)
    try:
        admin = KafkaAdminClient(**client_options(settings, address), bootstrap_timeout_ms=LOOKUP_TIMEOUT_MS)
        try:
            return len(admin.describe_topics([address.topic])[0]["partitions"])
        finally:
            admin.close()
    except kafka_errors.KafkaError:
        return None


def must_have_as_many(views: Address, view_partitions: int, state: Address, state_partitions: int) -> None:
    """Raise UsageError where the topics by which parts are joined differ in their number of partitions."""
    if view_partitions != state_partitions:
        raise UsageError(
            f"{state}: has {state_partitions} partitions and {views.topic} {view_partitions}; both need the same "
            "number: delete both and create them with andon-monitor topics"
        )


def _create(admin: KafkaAdminClient, topic: Topic) -> bool:
    wanted = NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=-1,  # the cluster's default: it knows how many nodes it has
        topic_configs={
            "retention.ms": str(topic.retention_ms),
            "retention.bytes": str(topic.retention_bytes),
            "max.message.bytes": str(topic.max_message_bytes),
            "cleanup.policy": "delete",
            # A message's time is the capture time of its frame, not the time at which the broker received it.
            "message.timestamp.type": "CreateTime",
            **(STATE_CONFIGS if topic.purpose in COMPACTED else {}),
        },
    )
    try:
        admin.create_topics([wanted])
    except kafka_errors.TopicAlreadyExistsError:
        return False
    except kafka_errors.AuthorizationError:
        raise UsageError(f"{topic.name}: no permission to create it") from None
    except kafka_errors.KafkaError as error:
        raise UsageError(f"{topic.name}: cannot be created ({describe(error)})") from None
    admin.wait_for_topics([topic.name])
    return True
