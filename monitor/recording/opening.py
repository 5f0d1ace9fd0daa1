"""`andon-monitor record` put together: the source, on Kafka or not, and the topic of verdicts."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from monitor.errors import OutputError, UsageError
from monitor.kafka.address import is_kafka, parse_address
from monitor.recording.record import Limits, Recorder
from monitor.recording.source import damage_of
from monitor.settings import KafkaSettings
from monitor.signals import stopped_by_signals
from monitor.sources import Source, open_source

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
            from monitor.kafka.health import Health
            from monitor.kafka.tap import KafkaTap
            from monitor.metrics import Metrics

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
