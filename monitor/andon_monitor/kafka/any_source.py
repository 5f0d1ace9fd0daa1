"""Opens the source that a URI names, a Kafka topic or any other, without taking frames from a monitor."""

from typing import TYPE_CHECKING

from andon_monitor.kafka.address import is_kafka, parse_address
from andon_monitor.settings.groups import CameraSettings, KafkaSettings, SourceSettings
from andon_monitor.sources.base import Source
from andon_monitor.sources.uri import open_source

if TYPE_CHECKING:
    from andon_monitor.kafka.health import Health


def open_any_source(
    uri: str,
    camera: str | None,
    settings: KafkaSettings,
    start: str | float = "latest",
    until_end: bool = False,
    *,
    health: "Health | None" = None,
    give_up_after: float | None = None,
    source: SourceSettings | None = None,
    industrial: CameraSettings | None = None,
) -> Source:
    """Open a source. `start`, `until_end` and `give_up_after` hold for topics, see `KafkaTap`; else see `open_source`.

    A topic is read without a consumer group. Raises UsageError, SourceError.
    """
    if is_kafka(uri):
        # kafka-python takes half a second to import, which other sources need not wait for.
        from andon_monitor.kafka.health import Health
        from andon_monitor.kafka.tap import KafkaTap

        return KafkaTap(parse_address(uri), settings, health or Health(), start, until_end, give_up_after)
    return open_source(uri, camera, settings=source, industrial=industrial)
