"""`andon-monitor record` with Kafka: the frames of a topic, or the verdicts of one with the frames of any source."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from andon_monitor.errors import UsageError
from andon_monitor.kafka.address import is_kafka, parse_address
from andon_monitor.kafka.any_source import open_any_source
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.tap import KafkaTap
from andon_monitor.recording.job import record_source
from andon_monitor.recording.record import RecordingLimits
from andon_monitor.settings.groups import KafkaSettings

POLL_VERDICTS = 256


def record_topics(
    uri: str,
    camera: str | None,
    verdicts: str | None,
    output: Path,
    limits: RecordingLimits,
    start: str | float,
    until_end: bool,
    settings: KafkaSettings,
) -> None:
    """Record the frames of `uri` and, where given, the verdicts of a topic.

    `start`, `until_end`: see `KafkaTap`; they hold for both topics. Raises as `record_source`.
    """
    if verdicts is not None and not is_kafka(verdicts):
        raise UsageError(f"--verdicts: {verdicts}: right is kafka://host:port/topic")
    health = Health()
    with ExitStack() as stack:
        poll_verdicts = None
        if verdicts is not None:
            tap = KafkaTap(parse_address(verdicts), settings, health, start, until_end)
            stack.callback(tap.close)
            poll_verdicts = partial(tap.poll_records, POLL_VERDICTS, 0)
        source = open_any_source(uri, camera, settings, start, until_end, health=health)
        record_source(source, output, limits, poll_verdicts)
