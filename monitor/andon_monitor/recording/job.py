"""`andon-monitor record` put together: the source, on Kafka or not, and the topic of verdicts."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from andon_monitor.common.process import stopped_by_signals
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.kafka.address import is_kafka, parse_address
from andon_monitor.recording.record import Limits, Recorder
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.sources.base import Source, damage_of
from andon_monitor.sources.uri import open_source

VERDICTS_AT_ONCE = 256


def record_from(
    uri: str,
    camera: str | None,
    verdicts: str | None,
    output: Path,
    limits: Limits,
    start: str | float,
    until_end: bool,
    settings: KafkaSettings,
) -> None:
    """Record until the source ends, a limit is reached or a signal comes.

    Raises UsageError, SourceError, and OutputError where the disk would have been full before that.
    """
    if verdicts is not None and not is_kafka(verdicts):
        raise UsageError(f"--verdicts: {verdicts}: right is kafka://host:port/topic")
    if limits.keep is not None and not limits.rotates:
        raise UsageError(f"--keep: {limits.keep} needs --file-size or --file-time, which make several files")
    with ExitStack() as stack:
        given: partial[list[object] | None] | None = None
        if verdicts is not None or is_kafka(uri):
            from andon_monitor.kafka.health import Health
            from andon_monitor.kafka.tap import KafkaTap
            from andon_monitor.telemetry.metrics import Metrics

            health = Health(Metrics())
            if verdicts is not None:
                tap = KafkaTap(parse_address(verdicts), settings, health, start, until_end)
                stack.callback(tap.close)
                given = partial(tap.poll_records, VERDICTS_AT_ONCE, 0)
        source: Source = (
            KafkaTap(parse_address(uri), settings, health, start, until_end)
            if is_kafka(uri)
            else open_source(uri, camera)
        )
        stack.callback(source.close)
        recorder = Recorder(source, output, limits, given)
        with stopped_by_signals(recorder.stop):
            short = recorder.run()
        if short is not None:
            raise OutputError(short)
        if (damage := damage_of(source)) is not None:
            raise OutputError(damage)
