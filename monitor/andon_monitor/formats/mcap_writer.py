"""Writing of recordings: a crash loses one second of them at most."""

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from mcap.records import Channel, Schema
from mcap.well_known import MessageEncoding, SchemaEncoding
from mcap.writer import CompressionType, Writer
from mcap_protobuf.schema import build_file_descriptor_set

from andon_monitor.common.files import cannot_write, part_of
from andon_monitor.errors import UsageError
from andon_monitor.formats.mcap_internals import OpenChunk
from andon_monitor.formats.mcap_layout import (
    CAMERAS,
    FRAME_SCHEMA,
    FRAMES,
    IMAGE,
    PROFILE,
    VERDICT_SCHEMA,
    VERDICTS,
    log_time,
    pack_facts,
    pack_image,
)
from andon_monitor.inspection.frames import Frame

# A changed byte loses a chunk, a crash the chunk that is open: a few frames, or those of a second.
CHUNK_BYTES = 2**18
CHUNK_SECONDS = 1.0
SYNC_SECONDS = 5.0  # a power cut loses this much; the end of the process only the open chunk
# We end the chunks and not the library, so that a frame is in the same chunk as its facts.
UNLIMITED_BYTES = 2**62
MAX_CAMERAS = 1000  # names come from messages: invented ones must not fill the file with channels
OTHER_CAMERAS = f"{CAMERAS}other"


class McapFile:
    """An MCAP file to write: chunks with checksums, each of which can be read without the others.

    It is written as `<name>.part`, or `part`, and renamed when it is closed. What `flush` has written survives the end
    of the process; `andon_monitor.formats.mcap_reader` also reads files without their end. Chunks are not compressed:
    images are already.

    Raises UsageError (the file exists) and OutputError (it cannot be written).
    """

    def __init__(self, path: Path, part: Path | None = None) -> None:
        self.path = path
        self.messages = 0
        self._part = part or part_of(path)
        for taken in (path, self._part):
            if taken.exists():
                raise UsageError(f"{taken}: exists, and a recording is never overwritten; give another name")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("xb")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror})") from None
        self._writer = Writer(
            self._file, chunk_size=UNLIMITED_BYTES, compression=CompressionType.NONE, enable_data_crcs=True
        )
        self._chunk = OpenChunk(self._writer)
        self._schemas: list[Schema] = []
        self._channels: list[Channel] = []
        self._written = 0
        self._chunk_began = self._synced = time.monotonic()
        self._guarded(lambda: self._writer.start(PROFILE))

    @property
    def size(self) -> int:
        """Bytes in the file and the open chunk; closing adds the index."""
        return self._written + self._chunk.size

    def add_metadata(self, name: str, facts: Mapping[str, str]) -> None:
        """Add a record of facts about the whole file."""
        self._guarded(lambda: self._writer.add_metadata(name, dict(facts)))

    def add_schema(self, name: str, encoding: str, data: bytes) -> int:
        """Add a schema; returns its id."""
        number = self._writer.register_schema(name, encoding, data)
        self._schemas.append(Schema(id=number, name=name, encoding=encoding, data=data))
        return number

    def add_channel(self, topic: str, encoding: str, schema: int, facts: Mapping[str, str] | None = None) -> int:
        """Add a channel of a schema; returns its id."""
        number = self._writer.register_channel(topic, encoding, schema, dict(facts or {}))
        self._channels.append(
            Channel(id=number, topic=topic, message_encoding=encoding, schema_id=schema, metadata=dict(facts or {}))
        )
        return number

    def add(self, channel: int, data: bytes, time_ns: int, sequence: int = 0, published_ns: int | None = None) -> None:
        """Add a message to the open chunk; times in nanoseconds since 1970."""
        published = time_ns if published_ns is None else published_ns
        self._writer.add_message(channel, time_ns, data, published, sequence % 2**32)
        self.messages += 1

    def flush_if_due(self) -> None:
        """Write the open chunk where it is large or old enough."""
        if self._chunk.size >= CHUNK_BYTES or time.monotonic() - self._chunk_began >= CHUNK_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the open chunk: its messages can be read from now on, whatever happens to this process."""
        self._chunk_began = time.monotonic()
        if not self._chunk.messages:
            return
        self._guarded(self._writer.flush)
        for schema in self._schemas:
            self._chunk.add_schema(schema)
        for channel in self._channels:
            self._chunk.add_channel(channel)
        self._written = self._file.tell()
        if self._chunk_began - self._synced >= SYNC_SECONDS:
            self._guarded(lambda: os.fsync(self._file.fileno()))
            self._synced = self._chunk_began

    def close(self) -> None:
        """Write the index, make the file durable and give it its name."""
        self.flush()

        def finish() -> None:
            self._writer.finish()  # type: ignore[no-untyped-call]
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)

        self._guarded(finish)

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise cannot_write(self._part, error) from None


class RecordingWriter:
    """Writes frames and verdicts into one file, see `mcap_layout`. `origin`: for people, where they come from."""

    def __init__(self, path: Path, origin: Mapping[str, str]) -> None:
        self.file = McapFile(path)
        self.frames = 0
        self.file.add_metadata("andon.origin", origin)
        descriptors = build_file_descriptor_set(CompressedImage).SerializeToString()
        self._image = self.file.add_schema(IMAGE, SchemaEncoding.Protobuf, descriptors)
        self._facts = self._json_channel(FRAMES, FRAME_SCHEMA)
        self._verdicts: int | None = None
        self._cameras: dict[str, int] = {}

    def write(self, frame: Frame) -> None:
        """Add a frame. Raises OutputError."""
        moment = log_time(frame.captured_at)
        channel = self._channel(frame.camera)
        self.file.add(self._facts, pack_facts(frame), moment, self.frames)
        self.file.add(channel, pack_image(frame), moment, self.frames)
        self.frames += 1
        self.file.flush_if_due()

    def write_verdict(self, verdict: bytes, given_at: float) -> None:
        """Add the JSON of a verdict; `given_at` in seconds since 1970. Raises OutputError."""
        if self._verdicts is None:
            self._verdicts = self._json_channel(VERDICTS, VERDICT_SCHEMA)
        self.file.add(self._verdicts, verdict, log_time(given_at))
        self.file.flush_if_due()

    def _channel(self, camera: str) -> int:
        topic = f"{CAMERAS}{camera}"
        if topic not in self._cameras and len(self._cameras) >= MAX_CAMERAS:
            topic = OTHER_CAMERAS
        if topic not in self._cameras:
            self._cameras[topic] = self.file.add_channel(topic, MessageEncoding.Protobuf, self._image)
        return self._cameras[topic]

    def _json_channel(self, topic: str, schema: Mapping[str, object]) -> int:
        number = self.file.add_schema(str(schema["title"]), SchemaEncoding.JSONSchema, json.dumps(schema).encode())
        return self.file.add_channel(topic, MessageEncoding.JSON, number)
