"""Recordings written so that a crash costs a second of them at most."""

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

# What a flipped byte costs is a chunk, what a crash costs is the chunk begun: a few frames, or a second of them.
CHUNK_BYTES = 2**18
CHUNK_SECONDS = 1.0
SYNC_SECONDS = 5.0  # a power cut costs as much; a kill costs no more than the chunk begun
UNBOUNDED = 2**62  # chunks are ended here and not by the library, so that a frame is never apart from its facts
MAX_CAMERAS = 1000  # a camera's name comes from a message: invented ones must not fill the file with channels
OTHERS = f"{CAMERAS}other"


class McapFile:
    """An MCAP file that is being written: chunks with checksums, each of which can be read without the others.

    It is written as `<name>.part`, or `part`, and gets its name when it is closed. What `flush` has handed to the
    system survives the process; `andon_monitor.formats.mcap_reader` reads it with or without its end. Chunks are not
    compressed: images are.

    Raises UsageError (there is such a file already) and OutputError (cannot be written).
    """

    def __init__(self, path: Path, part: Path | None = None) -> None:
        self.path = path
        self.messages = 0
        self._part = part or part_of(path)
        for taken in (path, self._part):
            if taken.exists():
                raise UsageError(f"{taken}: is there already, and a recording is never overwritten; give another name")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("xb")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror})") from None
        self._writer = Writer(self._file, chunk_size=UNBOUNDED, compression=CompressionType.NONE, enable_data_crcs=True)
        self._chunk = OpenChunk(self._writer)
        self._schemas: list[Schema] = []
        self._channels: list[Channel] = []
        self._written = 0
        self._began = self._synced = time.monotonic()
        self._guarded(lambda: self._writer.start(PROFILE))

    @property
    def size(self) -> int:
        """Bytes in the file, those of the chunk begun included; its index comes on top when it is closed."""
        return self._written + self._chunk.size

    def add_metadata(self, name: str, facts: Mapping[str, str]) -> None:
        """A record of facts about the whole file."""
        self._guarded(lambda: self._writer.add_metadata(name, dict(facts)))

    def add_schema(self, name: str, encoding: str, data: bytes) -> int:
        """Make a schema known; its id."""
        number = self._writer.register_schema(name, encoding, data)
        self._schemas.append(Schema(id=number, name=name, encoding=encoding, data=data))
        return number

    def add_channel(self, topic: str, encoding: str, schema: int, facts: Mapping[str, str] | None = None) -> int:
        """Make a channel known; its id."""
        number = self._writer.register_channel(topic, encoding, schema, dict(facts or {}))
        self._channels.append(
            Channel(id=number, topic=topic, message_encoding=encoding, schema_id=schema, metadata=dict(facts or {}))
        )
        return number

    def add(self, channel: int, data: bytes, time_ns: int, sequence: int = 0, published_ns: int | None = None) -> None:
        """A message; it is written with its chunk."""
        published = time_ns if published_ns is None else published_ns
        self._writer.add_message(channel, time_ns, data, published, sequence % 2**32)
        self.messages += 1

    def flush_if_due(self) -> None:
        """End the chunk where it is large or old enough."""
        if self._chunk.size >= CHUNK_BYTES or time.monotonic() - self._began >= CHUNK_SECONDS:
            self.flush()

    def flush(self) -> None:
        """End the chunk: what has been added so far can be read from now on, whatever happens to this process."""
        self._began = time.monotonic()
        if not self._chunk.messages:
            return
        self._guarded(self._writer.flush)
        for schema in self._schemas:
            self._chunk.add_schema(schema)
        for channel in self._channels:
            self._chunk.add_channel(channel)
        self._written = self._file.tell()
        if self._began - self._synced >= SYNC_SECONDS:
            self._guarded(lambda: os.fsync(self._file.fileno()))
            self._synced = self._began

    def close(self) -> None:
        """Write the index, make all of it durable and give the file its name."""
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
    """Frames and verdicts into one file; see `layout`. `origin` says where they come from, for people."""

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
        """Add a verdict as it was sent; `given_at` in seconds since 1970. Raises OutputError."""
        if self._verdicts is None:
            self._verdicts = self._json_channel(VERDICTS, VERDICT_SCHEMA)
        self.file.add(self._verdicts, verdict, log_time(given_at))
        self.file.flush_if_due()

    def _channel(self, camera: str) -> int:
        topic = f"{CAMERAS}{camera}"
        if topic not in self._cameras and len(self._cameras) >= MAX_CAMERAS:
            topic = OTHERS
        if topic not in self._cameras:
            self._cameras[topic] = self.file.add_channel(topic, MessageEncoding.Protobuf, self._image)
        return self._cameras[topic]

    def _json_channel(self, topic: str, schema: Mapping[str, object]) -> int:
        number = self.file.add_schema(str(schema["title"]), SchemaEncoding.JSONSchema, json.dumps(schema).encode())
        return self.file.add_channel(topic, MessageEncoding.JSON, number)
