"""Reading of recordings, damaged ones too: every intact chunk is read, and nothing else."""

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
from mcap.stream_reader import StreamReader
from mcap.writer import MCAP0_MAGIC

from andon_monitor.errors import SourceError, UsageError
from andon_monitor.formats.decompression import decompress
from andon_monitor.formats.mcap_layout import is_image

HEAD = struct.Struct("<BQ")  # opcode and length of a record's body
CHUNK_HEAD = struct.Struct("<QQQII")  # first and last time, size, checksum, length of the compression's name
# Ours have about a mebibyte, or one image. What is larger counts as damaged: memory stays limited, see `_open_chunk`.
MAX_RECORD_BYTES = 2**28
MAX_CHUNK_BYTES = 2**27  # of a chunk, decompressed
MAX_CHUNK_RECORDS = 2**18  # each is an object of a few hundred bytes
MAX_SUMMARY_BYTES = 2**26
MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
FOOTER_BODY_BYTES = 20
FOOTER_BYTES = HEAD.size + FOOTER_BODY_BYTES
# Records that may stand between the header and the end of the data, in addition to chunks.
OUTSIDE_CHUNKS = (
    Opcode.HEADER,
    Opcode.SCHEMA,
    Opcode.CHANNEL,
    Opcode.MESSAGE_INDEX,
    Opcode.METADATA,
    Opcode.ATTACHMENT,
)
DATA_END_BYTES = 4
PRIVATE_OPCODES = 0x80  # and above: records of other programs, which readers skip
# The start of a chunk: its opcode, a length below 2**40, times, size, checksum, the name of a compression.
CHUNK_START = re.compile(rb"\x06.{5}\x00{3}.{28}(?:\x00{4}|\x04\x00{3}zstd|\x03\x00{3}lz4)", re.DOTALL)
WINDOW_BYTES = 2**22  # searched at once for the next chunk
OVERLAP_BYTES = 64  # of two windows: more than CHUNK_START can match


@dataclass
class Damage:
    """What of a file cannot be read.

    `stretches`, `size`: the number of damaged parts and their bytes; `lost`: the frames in them, None where the index
    is lost too. `unfinished`: the end is missing, as after a crash. `outside_chunks`: something other than chunks has
    changed, such as the index. `unreadable`: messages in intact chunks that are not what their channel says.
    """

    stretches: int = 0
    size: int = 0
    unfinished: bool = False
    outside_chunks: bool = False
    lost: int | None = None
    unreadable: int = 0

    @property
    def found(self) -> bool:
        """Whether there is any damage."""
        return bool(self.stretches or self.unfinished or self.outside_chunks or self.unreadable)

    def __str__(self) -> str:
        parts = []
        if self.stretches:
            lost = "an unknown number of frames" if self.lost is None else f"{self.lost} frames"
            plural = "" if self.stretches == 1 else "es"
            parts.append(f"{self.stretches} stretch{plural} of {self.size} bytes with {lost} cannot be read")
        if self.unfinished:
            parts.append("its end is missing, as after a crash")
        if self.outside_chunks:
            parts.append("bytes outside of chunks have changed")
        if self.unreadable:
            parts.append(f"{self.unreadable} messages are not what they should be")
        return "; ".join(parts) or "sound"


@dataclass(frozen=True)
class Index:
    """The number of frames and the times of the first and last message (ns since 1970), from the end of a file."""

    frames: int
    first: int
    last: int


@dataclass
class Content:
    """Messages and metadata of one chunk, or between chunks, in their order."""

    messages: list[tuple[Channel, Schema | None, Message]] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)


class RecordingFile:
    """An MCAP file, read from start to end in constant memory.

    `damage` is complete once `contents` has ended. Raises UsageError (no such file, not an MCAP file) and, during
    reading, SourceError (the medium fails).
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
            self.damage.outside_chunks = True
        self._checksum = zlib.crc32(start)
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def contents(self) -> Iterator[Content]:
        """The content of the file, chunk by chunk. Raises SourceError."""
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
                # Where a part is lost it must differ; otherwise something has changed that has no checksum of its own.
                if not self.damage.stretches and checksum not in (0, self._checksum):
                    self.damage.outside_chunks = True
                if not self._whole_end:
                    self.damage.unfinished, self.damage.outside_chunks = (
                        not self._closed,
                        self.damage.outside_chunks or self._closed,
                    )
                break
            self._checksum = zlib.crc32(body, zlib.crc32(HEAD.pack(opcode, len(body)), self._checksum))
            place += HEAD.size + len(body)
            content = self._take(parsed)
            if content.messages or content.metadata:
                yield content
        if self.index is not None:
            self.damage.lost = max(0, self.index.frames - self.frames)
            # Frames are missing although each record was read: a chunk that damage made look like a private record.
            self.damage.outside_chunks |= bool(self.damage.lost) and not self.damage.found

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
        """Opcode, body and parsed records of the record at a place; None where there is no intact one."""
        self._file.seek(place)
        head = self._file.read(HEAD.size)
        if len(head) < HEAD.size:
            return None
        opcode, length = HEAD.unpack(head)
        if length > min(MAX_RECORD_BYTES, self._size - place - HEAD.size):
            return None
        body = self._file.read(length)
        if len(body) < length:
            return None
        if opcode == Opcode.CHUNK:
            records = _open_chunk(body)
            self._chunked = self._chunked or records is not None
        elif opcode == Opcode.MESSAGE and not self._chunked and not self.damage.stretches:
            records = _parse_plain(opcode, body)  # of a file without chunks: one checksum covers all of them
        elif opcode in OUTSIDE_CHUNKS:
            records = _parse_plain(opcode, body)
        elif opcode >= PRIVATE_OPCODES or (opcode == Opcode.DATA_END and length == DATA_END_BYTES):
            records = []
        else:
            return None
        return None if records is None else (opcode, body, records)

    def _next_chunk(self, place: int) -> int | None:
        """Where the next intact chunk starts, at `place` or later."""
        while place < self._size:
            self._file.seek(place)
            window = self._file.read(WINDOW_BYTES)
            for match in CHUNK_START.finditer(window):
                if self._record_at(place + match.start()) is not None:
                    return place + match.start()
            if len(window) < WINDOW_BYTES:
                return None
            place += WINDOW_BYTES - OVERLAP_BYTES
        return None

    @property
    def _closed(self) -> bool:
        """Whether the file ends like one that was closed."""
        self._file.seek(max(0, self._size - len(MCAP0_MAGIC)))
        return self._file.read() == MCAP0_MAGIC

    def _read_end(self) -> tuple[bool, Index | None]:
        """Whether the end of the file is intact, and its summary where it has one."""
        tail = FOOTER_BYTES + len(MCAP0_MAGIC)
        if self._size < tail:
            return False, None
        self._file.seek(self._size - tail)
        footer = self._file.read(tail)
        opcode, length = HEAD.unpack_from(footer)
        start, _, checksum = struct.unpack_from("<QQI", footer, HEAD.size)
        start = start or self._size - tail  # no summary
        whole = opcode == Opcode.FOOTER and length == FOOTER_BODY_BYTES and footer.endswith(MCAP0_MAGIC)
        if not whole or not 0 < start <= self._size - tail:
            return False, None
        if self._size - start > MAX_SUMMARY_BYTES:
            return True, None
        self._file.seek(start)
        summary = self._file.read(self._size - tail - start)
        if checksum not in (0, zlib.crc32(footer[: FOOTER_BYTES - 4], zlib.crc32(summary))):
            return False, None
        try:
            return True, _parse_summary(summary + footer)
        except (McapError, ValueError, struct.error):
            return False, None


def _open_chunk(body: bytes) -> list[McapRecord] | None:
    """The records of a chunk whose lengths and checksum are right, else None."""
    try:
        stream = ReadDataStream(io.BytesIO(body))
        chunk = Chunk.read(stream)
        if stream.count != len(body) or len(chunk.data) != len(body) - CHUNK_HEAD.size - len(chunk.compression) - 8:
            return None
        data = _decompressed(chunk)
        if chunk.uncompressed_crc not in (0, zlib.crc32(data)):
            return None
        return _parse_chunk(data)
    except Exception:  # each decompressor has errors of its own, and damaged bytes may raise nearly any
        return None


def _decompressed(chunk: Chunk) -> bytes:
    """The content of a chunk. Raises ValueError for more than it declares, or more than MAX_CHUNK_BYTES."""
    match chunk.compression:
        case "":
            return chunk.data
        case "zstd" | "lz4" as codec:
            return decompress(codec, chunk.data, min(chunk.uncompressed_size, MAX_CHUNK_BYTES))
    raise ValueError(f"compressed by {chunk.compression}")


def _parse_chunk(data: bytes) -> list[McapRecord]:
    """Schemas, channels and messages in the content of a chunk. Raises ValueError where a length is wrong."""
    records: list[McapRecord] = []
    place, count = 0, 0
    while place < len(data):
        opcode, length = HEAD.unpack_from(data, place)
        start = place + HEAD.size
        place, count = start + length, count + 1
        if place > len(data) or count > MAX_CHUNK_RECORDS:
            raise ValueError("a record that is longer than its chunk, or too many")
        if opcode == Opcode.MESSAGE:
            channel, sequence, log_time, publish_time = MESSAGE_HEAD.unpack_from(
                data[start : start + MESSAGE_HEAD.size]
            )
            content = data[start + MESSAGE_HEAD.size : place]
            records.append(Message(channel, log_time, content, publish_time, sequence))
        elif opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
            kind = Schema if opcode == Opcode.SCHEMA else Channel
            records.append(kind.read(ReadDataStream(io.BytesIO(data[start:place]))))
    return records


def _parse_plain(opcode: int, body: bytes) -> list[McapRecord] | None:
    """A record outside of chunks. It is intact where writing it gives the same bytes, else None."""
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
