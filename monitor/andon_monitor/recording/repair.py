"""`andon-monitor repair`: copies the intact part of a damaged recording into a new file."""

from dataclasses import dataclass
from pathlib import Path

from mcap.records import Channel, Schema

from andon_monitor.formats.mcap_reader import Damage, RecordingFile
from andon_monitor.formats.mcap_writer import McapFile

# Suffix while it is written: NAME.part may be the damaged recording itself, as a crash leaves it.
UNFINISHED_SUFFIX = ".repaired"


@dataclass(frozen=True)
class Repaired:
    """How many frames, and messages of any kind, were copied, and the damage that was found."""

    frames: int
    messages: int
    damage: Damage


def repair(path: Path, to: Path) -> Repaired:
    """Copy every intact message, chunk by chunk, and the metadata of the file.

    Raises UsageError (not a recording, `to` exists), SourceError and OutputError; then `to` is not written.
    """
    source = RecordingFile(path)
    try:
        part = to.with_name(f"{to.name}{UNFINISHED_SUFFIX}")
        part.unlink(missing_ok=True)
        target = McapFile(to, part)
        try:
            _copy(source, target)
            target.add_metadata("andon.repair", {"from": path.name, "damage": str(source.damage)})
            target.close()
        except BaseException:
            target.abandon()
            raise
    finally:
        source.close()
    return Repaired(source.frames, target.messages, source.damage)


def _copy(source: RecordingFile, target: McapFile) -> None:
    schemas: dict[tuple[str, str, bytes], int] = {}
    channels: dict[tuple[str, str, int, tuple[tuple[str, str], ...]], int] = {}

    def channel_of(channel: Channel, schema: Schema | None) -> int:
        number = 0
        if schema is not None:
            about = (schema.name, schema.encoding, schema.data)
            number = schemas[about] = schemas.get(about) or target.add_schema(*about)
        facts = tuple(channel.metadata.items())
        key = (channel.topic, channel.message_encoding, number, facts)
        if key not in channels:
            channels[key] = target.add_channel(*key[:3], dict(facts))
        return channels[key]

    for content in source.contents():
        for metadata in content.metadata:
            target.add_metadata(metadata.name, metadata.metadata)
        for channel, schema, message in content.messages:
            number = channel_of(channel, schema)
            target.add(number, message.data, message.log_time, message.sequence, message.publish_time)
        target.flush()
