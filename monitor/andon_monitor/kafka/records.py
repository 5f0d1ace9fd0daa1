"""Records as batches hold them, read in such a way that whatever they hold makes a record, good or with a problem."""

from collections.abc import Iterator
from typing import NamedTuple

from andon_monitor.inspection.frames import MAX_HEADERS

# A range of offsets in a damaged batch is only what its header claims.
MAX_OFFSETS_OF_DAMAGED_BATCH = 10_000
MAX_VARINT_BITS = 64

Headers = tuple[tuple[str, bytes], ...]


class Problem(NamedTuple):
    """Why a record could not be read. `cause`: one of `telemetry.catalogue.UNREADABLE_CAUSES`; `detail`: one line."""

    cause: str
    detail: str


class Record(NamedTuple):
    """A record of a topic. `timestamp` is in milliseconds since 1970. With a `problem`, it has what could be read."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    problem: Problem | None = None

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        headers = sum(len(name) + len(value) for name, value in self.headers) if self.headers else 0
        return len(self.key or b"") + len(self.value or b"") + headers


class Batch(NamedTuple):
    """The header of a batch of records. `log_append_time`: that of all its records, None where each has its own."""

    topic: str
    partition: int
    base_offset: int
    last_offset: int
    records: int
    first_timestamp: int
    log_append_time: int | None


def read_records(batch: Batch, data: bytes | bytearray | memoryview) -> Iterator[Record]:
    """The records in the decompressed `data` of a batch, in the order of their offsets. Never raises."""
    position, expected = 0, batch.base_offset
    for _ in range(batch.records):
        if expected > batch.last_offset:
            return
        try:
            length, start = _varint(data, position)
        except (IndexError, ValueError):
            length, start = -1, 0
        end = start + length
        if length < 0 or end > len(data):  # where the next record begins is not known either
            problem = Problem("content", "the batch ends within a record")
            yield from unreadable(batch, max(expected, batch.base_offset), batch.last_offset, problem)
            return
        record = _read(batch, data, start, end, expected)
        yield record
        position, expected = end, record.offset + 1


def unreadable(batch: Batch, first: int, last: int, problem: Problem, raw: bytes | None = None) -> Iterator[Record]:
    """A record with the problem for each offset from `first` to `last`. The first one has the bytes `raw` as value."""
    if last > first:
        problem = Problem(problem.cause, f"{problem.detail} (offsets {first} to {last})")
    timestamp = batch.first_timestamp if batch.log_append_time is None else batch.log_append_time
    for offset in range(first, last + 1):
        yield Record(batch.topic, batch.partition, offset, timestamp, None, raw, (), problem)
        raw = None


def _read(batch: Batch, data: bytes | bytearray | memoryview, start: int, end: int, expected: int) -> Record:
    """The record between `start` and `end`; `expected` is its offset where it has no sound one."""
    offset, timestamp = expected, batch.first_timestamp
    key = value = None
    headers: Headers = ()
    try:
        position = start + 1  # attributes: not used
        delta, position = _varint(data, position)
        timestamp = batch.first_timestamp + delta if batch.log_append_time is None else batch.log_append_time
        delta, position = _varint(data, position)
        if not expected <= batch.base_offset + delta <= batch.last_offset:
            raise ValueError("its offset is outside its batch")
        offset = batch.base_offset + delta
        key, position = _bytes(data, position, end)
        value, position = _bytes(data, position, end)
        count, position = _varint(data, position)
        if count:
            headers, bad_name = _headers(data, position, end, count)
            if bad_name:
                problem = Problem("content", "the name of a header is not UTF-8")
                return Record(batch.topic, batch.partition, offset, timestamp, key, value, headers, problem)
        elif position != end:
            raise ValueError("it is longer than its parts")
    except (IndexError, ValueError) as error:
        problem = Problem("content", str(error) if type(error) is ValueError else "it ends within one of its parts")
        return Record(batch.topic, batch.partition, offset, timestamp, key, value, headers, problem)
    return Record(batch.topic, batch.partition, offset, timestamp, key, value, headers)


def _headers(data: bytes | bytearray | memoryview, position: int, end: int, count: int) -> tuple[Headers, bool]:
    """The headers, and whether the name of one is not UTF-8; its bytes are escaped then. Raises ValueError."""
    # Each of a million empty headers takes a hundred times its bytes once it is read.
    if not 0 <= count <= MAX_HEADERS:
        raise ValueError(f"{count} headers, more than {MAX_HEADERS}" if count > 0 else f"{count} headers")
    headers: list[tuple[str, bytes]] = []
    bad_name = False
    for _ in range(count):
        name, position = _bytes(data, position, end)
        value, position = _bytes(data, position, end)
        if name is None:
            raise ValueError("a header without a name")
        try:
            text = name.decode()
        except UnicodeDecodeError:
            text, bad_name = name.decode(errors="backslashreplace"), True
        headers.append((text, value or b""))
    if position != end:
        raise ValueError("it is longer than its parts")
    return tuple(headers), bad_name


def _bytes(data: bytes | bytearray | memoryview, position: int, end: int) -> tuple[bytes | None, int]:
    length, position = _varint(data, position)
    if length < 0:
        return None, position
    if position + length > end:
        raise IndexError
    return bytes(data[position : position + length]), position + length


def _varint(data: bytes | bytearray | memoryview, position: int) -> tuple[int, int]:
    """A zigzag number of variable length, and where the next part begins. Raises IndexError, ValueError."""
    byte = data[position]
    position += 1
    result, shift = byte & 0x7F, 7
    while byte & 0x80:
        if shift >= MAX_VARINT_BITS:
            raise ValueError("a number is longer than 64 bits")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        shift += 7
    return (result >> 1) ^ -(result & 1), position
