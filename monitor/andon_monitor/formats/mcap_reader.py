"""Recordings read however damaged: every chunk that is whole comes back, and nothing that is not."""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, McapRecord, Message, Metadata, Schema, Statistics
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import MCAP0_MAGIC

from andon_monitor.errors import SourceError, UsageError
from andon_monitor.formats.mcap_layout import is_image

HEAD = struct.Struct("<BQ")  # opcode and length of a record's body
CHUNK_HEAD = struct.Struct("<QQQII")  # first and last time, size, checksum, length of the compression's name
MAX_RECORD = 2**30  # a longer one is a length that was damaged; ours are about a mebibyte
FOOTER_BYTES = HEAD.size + 20
# What may stand between the header and the end of the data, chunks apart.
PLAIN = (
    Opcode.HEADER,
    Opcode.SCHEMA,
    Opcode.CHANNEL,
    Opcode.MESSAGE_INDEX,
    Opcode.METADATA,
    Opcode.ATTACHMENT,
)
DATA_END_BYTES = 4
# The beginning of a chunk: its opcode, a length below 2**40, times, size, checksum, the name of a compression.
CHUNK_START = re.compile(rb"\x06.{5}\x00{3}.{28}(?:\x00{4}|\x04\x00{3}zstd|\x03\x00{3}lz4)", re.DOTALL)
WINDOW = 2**22  # bytes looked through at once for the next chunk
OVERLAP = 64  # more than CHUNK_START can match


@dataclass
class Damage:
    """What of a file cannot be read: `stretches` of `size` bytes in all.

    `unfinished`: its end is missing, as after a crash. `beside`: something outside the chunks has changed, such as the
    index. `lost` is the number of frames in the stretches, None where the index that would say it is lost too.
    `unreadable` counts messages in whole chunks that are not what their channel says.
    """

    stretches: int = 0
    size: int = 0
    unfinished: bool = False
    beside: bool = False
    lost: int | None = None
    unreadable: int = 0

    @property
    def found(self) -> bool:
        """Whether there is any."""
        return bool(self.stretches or self.unfinished or self.beside or self.unreadable)

    def __str__(self) -> str:
        parts = []
        if self.stretches:
            lost = "an unknown number of frames" if self.lost is None else f"{self.lost} frames"
            plural = "" if self.stretches == 1 else "es"
            parts.append(f"{self.stretches} stretch{plural} of {self.size} bytes with {lost} cannot be read")
        if self.unfinished:
            parts.append("its end is missing, as after a crash")
        if self.beside:
            parts.append("bytes outside of chunks have changed")
        if self.unreadable:
            parts.append(f"{self.unreadable} messages are not what they should be")
        return "; ".join(parts) or "sound"


@dataclass(frozen=True)
class Index:
    """What the end of a file says about it, where its checksum holds; times in nanoseconds since 1970."""

    frames: int
    first: int
    last: int


@dataclass
class Content:
    """What came out of one chunk, or stood outside of chunks, in its order."""

    messages: list[tuple[Channel, Schema | None, Message]] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)


class RecordingFile:
    """An MCAP file, read from its beginning to its end in constant memory.

    `damage` is complete once `contents` has been read to its end. Raises UsageError (not there, not an MCAP file) and,
    while it is read, SourceError (the medium fails).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = Damage()
        self.frames = 0
        try:
            self._file: BinaryIO = path.open("rb")
            self._size = path.stat().st_size
            start = self._file.read(len(MCAP0_MAGIC))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
        self._whole_end, self.index = self._read_end()
        self._chunked = False
        if start != MCAP0_MAGIC:
            if self.index is None and self._next_chunk(0) is None:
                self._file.close()
                raise UsageError(f"{path}: not an MCAP recording")
            self.damage.beside = True
        self._checksum = zlib.crc32(start)
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def contents(self) -> Iterator[Content]:
        """What the file holds, chunk by chunk."""
        try:
            yield from self._contents()
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read ({error.strerror or error})") from None

    def _contents(self) -> Iterator[Content]:
        place = len(MCAP0_MAGIC)
        while True:
            record = self._record_at(place)
            if record is None:
                following = self._next_chunk(place + 1)
                end = self._size if following is None else following
                if end > place:
                    self.damage.stretches += 1
                    self.damage.size += end - place
                if following is None:
                    self.damage.unfinished = not self._closed
                    break
                place = following
                continue
            opcode, body, parsed = record
            if opcode == Opcode.DATA_END:
                checksum = int.from_bytes(body, "little")
                # With a stretch lost, it must differ; without, something has changed that nothing else checks.
                if not self.damage.stretches and checksum not in (0, self._checksum):
                    self.damage.beside = True
                if not self._whole_end:
                    self.damage.unfinished, self.damage.beside = not self._closed, self.damage.beside or self._closed
                break
            self._checksum = zlib.crc32(body, zlib.crc32(HEAD.pack(opcode, len(body)), self._checksum))
            place += HEAD.size + len(body)
            content = self._take(parsed)
            if content.messages or content.metadata:
                yield content
        if self.index is not None:
            self.damage.lost = max(0, self.index.frames - self.frames)

    def _take(self, records: list[McapRecord]) -> Content:
        content = Content()
        for record in records:
            if isinstance(record, Schema):
                self._schemas[record.id] = record
            elif isinstance(record, Channel):
                self._channels[record.id] = record
            elif isinstance(record, Metadata):
                content.metadata.append(record)
            elif isinstance(record, Message):
                channel = self._channels.get(record.channel_id)
                if channel is None:
                    self.damage.unreadable += 1
                    continue
                schema = self._schemas.get(channel.schema_id)
                self.frames += is_image(channel, schema)
                content.messages.append((channel, schema, record))
        return content

    def _record_at(self, place: int) -> tuple[int, bytes, list[McapRecord]] | None:
        """The record at a place, taken apart; None where there is none, or none that is whole."""
        self._file.seek(place)
        head = self._file.read(HEAD.size)
        if len(head) < HEAD.size:
            return None
        opcode, length = HEAD.unpack(head)
        if length > min(MAX_RECORD, self._size - place - HEAD.size):
            return None
        body = self._file.read(length)
        if len(body) < length:
            return None
        if opcode == Opcode.CHUNK:
            records = _open_chunk(body)
            self._chunked = self._chunked or records is not None
        elif opcode == Opcode.MESSAGE and not self._chunked and not self.damage.stretches:
            records = _parse_plain(opcode, body)  # by a program that makes no chunks: only their sum is checked
        elif opcode in PLAIN:
            records = _parse_plain(opcode, body)
        elif opcode == Opcode.DATA_END and length == DATA_END_BYTES:
            records = []
        else:
            return None
        return None if records is None else (opcode, body, records)

    def _next_chunk(self, place: int) -> int | None:
        """Where the next whole chunk begins, at `place` or later."""
        while place < self._size:
            self._file.seek(place)
            window = self._file.read(WINDOW)
            for match in CHUNK_START.finditer(window):
                if self._record_at(place + match.start()) is not None:
                    return place + match.start()
            if len(window) < WINDOW:
                return None
            place += WINDOW - OVERLAP
        return None

    @property
    def _closed(self) -> bool:
        """Whether the file ends as one that was written to its end does."""
        self._file.seek(max(0, self._size - len(MCAP0_MAGIC)))
        return self._file.read() == MCAP0_MAGIC

    def _read_end(self) -> tuple[bool, Index | None]:
        """Whether the file's end is whole, and what its summary says, where its writer made one."""
        tail = FOOTER_BYTES + len(MCAP0_MAGIC)
        if self._size < tail:
            return False, None
        self._file.seek(self._size - tail)
        footer = self._file.read(tail)
        opcode, length = HEAD.unpack_from(footer)
        start, _, checksum = struct.unpack_from("<QQI", footer, HEAD.size)
        start = start or self._size - tail  # no summary
        whole = opcode == Opcode.FOOTER and length == 20 and footer.endswith(MCAP0_MAGIC)
        if not whole or not 0 < start <= self._size - tail or self._size - start > MAX_RECORD:
            return False, None
        self._file.seek(start)
        summary = self._file.read(self._size - tail - start)
        if checksum not in (0, zlib.crc32(footer[: FOOTER_BYTES - 4], zlib.crc32(summary))):
            return False, None
        try:
            return True, _parse_summary(summary + footer)
        except (McapError, ValueError, struct.error):
            return False, None


def _open_chunk(body: bytes) -> list[McapRecord] | None:
    """The records of a chunk whose lengths fit together and whose checksum holds, else None."""
    try:
        stream = ReadDataStream(io.BytesIO(body))
        chunk = Chunk.read(stream)
        if stream.count != len(body) or len(chunk.data) != len(body) - CHUNK_HEAD.size - len(chunk.compression) - 8:
            return None
        return breakup_chunk(chunk, validate_crc=True)
    except Exception:  # each decompressor has errors of its own, and damaged bytes can raise nearly anything
        return None


def _parse_plain(opcode: int, body: bytes) -> list[McapRecord] | None:
    """A record outside of chunks: whole where writing what was read gives the same bytes again, else None."""
    try:
        record = next(StreamReader(io.BytesIO(HEAD.pack(opcode, len(body)) + body), skip_magic=True).records)
        builder = RecordBuilder()
        record.write(builder)
    except Exception:  # as above
        return None
    return [record] if builder.end()[HEAD.size :] == body else None  # type: ignore[no-untyped-call]


def _parse_summary(summary: bytes) -> Index | None:
    schemas: dict[int, Schema] = {}
    images: set[int] = set()
    for record in StreamReader(io.BytesIO(summary), skip_magic=True).records:
        if isinstance(record, Schema):
            schemas[record.id] = record
        elif isinstance(record, Channel) and is_image(record, schemas.get(record.schema_id)):
            images.add(record.id)
        elif isinstance(record, Statistics):
            frames = sum(count for number, count in record.channel_message_counts.items() if number in images)
            return Index(frames, record.message_start_time, record.message_end_time)
    return None
